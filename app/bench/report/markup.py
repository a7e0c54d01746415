"""The few pieces of HTML that the report is made of."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from app.bench.bound import number

Cell = str | float | int | None


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page, and how it is linked to."""

    name: str
    title: str
    # One or two sentences: what was done, and how it is read.
    says: str
    body: str

    def html(self) -> str:
        return (
            f'<section id="{escape(self.name)}"><h2>{escape(self.title)}</h2>'
            f"<p>{escape(self.says)}</p>{self.body}</section>"
        )


def table(headings: Sequence[str], rows: Iterable[Sequence[Cell]], *, classes: str = "") -> str:
    """A table; numbers stand right. A first cell names its row."""
    listed = list(rows)
    head = "".join(_heading(heading, [row[place] for row in listed]) for place, heading in enumerate(headings))
    body = "".join(f"<tr>{''.join(_cell(place, cell) for place, cell in enumerate(row))}</tr>" for row in listed)
    return (
        f'<div class="wide"><table class="{classes}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _heading(heading: str, below: Sequence[Cell]) -> str:
    """It stands over what is below it."""
    side = ' class="n"' if any(isinstance(cell, int | float) for cell in below) else ""
    return f'<th scope="col"{side}>{escape(heading)}</th>'


def _cell(place: int, cell: Cell) -> str:
    if place == 0:
        return f'<th scope="row">{escape(text(cell))}</th>'
    if isinstance(cell, str) or cell is None:
        return f"<td>{escape(text(cell))}</td>"
    return f'<td class="n">{escape(text(cell))}</td>'


def text(cell: Cell) -> str:
    """A value as it is read."""
    if cell is None:
        return "–"
    return cell if isinstance(cell, str) else number(cell)


def figures(summary: str, content: str) -> str:
    """What is there for those who want it."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def charts(*drawn: str) -> str:
    """Charts beside each other, or below each other where it is narrow."""
    return f'<div class="charts">{"".join(drawn)}</div>'


def statuses(counted: dict[str, int]) -> str:
    """What was answered how often."""
    return ", ".join(f"{status} × {count:,}" for status, count in counted.items()) or "none"
