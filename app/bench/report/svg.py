"""Charts as SVG: lines, grouped bars, stacked bars. The page's colours, so that they follow light and dark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from app.bench.bound import number

# In the chart's own units, drawn as wide as there is room for it.
WIDTH, HEIGHT = 480, 300
LEFT, RIGHT, TOP, BOTTOM = 58, 24, 14, 46
ROW = 46
TICKS = 5
# Above this nothing is read beside a bar.
_LABELLED_BARS_MAX = 12

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Series:
    """One line, or the bars of one colour; `tone` is one of the page's colours, from 1."""

    name: str
    points: Sequence[Point]
    tone: int
    is_dashed: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """What is measured along it. Without ticks they are chosen; `is_log` takes no zero."""

    label: str
    is_log: bool = False
    ticks: Sequence[tuple[float, str]] = ()


@dataclass(frozen=True, slots=True)
class Mark:
    """A bound across the chart, or a stretch of it that something went on in."""

    label: str
    at: float
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Bars:
    """Groups of bars: for each group a value of each series, `None` where there is none."""

    groups: Sequence[str]
    series: Sequence[tuple[str, Sequence[float | None]]]


@dataclass(slots=True)
class _Scale:
    """Values to places."""

    low: float
    high: float
    begin: float
    end: float
    is_log: bool = False
    ticks: list[tuple[float, str]] = field(default_factory=list)

    def __call__(self, value: float) -> float:
        if self.is_log:
            value, low, high = (math.log10(max(one, 1e-9)) for one in (value, self.low, self.high))
        else:
            low, high = self.low, self.high
        share = (value - low) / (high - low) if high > low else 0.5
        return round(self.begin + share * (self.end - self.begin), 1)


def line_chart(
    title: str,
    says: str,
    series: Sequence[Series],
    *,
    x: Axis,
    y: Axis,
    bound: Mark | None = None,
    stretch: Mark | None = None,
) -> str:
    """Lines through points."""
    values_x = [point[0] for one in series for point in one.points]
    values_y = [point[1] for one in series for point in one.points] + ([bound.at] if bound else [])
    across = _scale(values_x, x, LEFT, WIDTH - RIGHT)
    up = _scale(values_y, y, HEIGHT - BOTTOM, TOP, is_from_zero=True)
    parts = []
    if stretch is not None and stretch.until is not None:
        begin, end = across(stretch.at), across(min(stretch.until, across.high))
        parts.append(
            f'<rect class="stretch" x="{begin}" y="{TOP}" width="{max(0, end - begin):.1f}" height="{_inner()}"/>'
        )
        parts.append(_text(begin + 4, TOP + 13, stretch.label, "small"))
    parts += [_grid(across, up), _labels(x.label, y.label)]
    if bound is not None:
        parts.append(_bound(up(bound.at), bound.label))
    parts += [_line(one, across, up) for one in series]
    return _figure(title, says, "".join(parts), [(one.name, one.tone, _dashed(one)) for one in series])


def bar_chart(title: str, says: str, bars: Bars, *, y: Axis, bound: Mark | None = None) -> str:
    """Groups of upright bars."""
    values = [value for _, row in bars.series for value in row if value is not None]
    up = _scale(values + ([bound.at] if bound else []), y, HEIGHT - BOTTOM, TOP + 8, is_from_zero=True)
    across = _Scale(0, len(bars.groups), LEFT, WIDTH - RIGHT)
    room = (WIDTH - LEFT - RIGHT) / max(1, len(bars.groups))
    width = min(34.0, room * 0.8 / max(1, len(bars.series)))
    parts = [_grid(across, up), _labels("", y.label)]
    for at, group in enumerate(bars.groups):
        middle = LEFT + (at + 0.5) * room
        parts.append(_text(middle, HEIGHT - BOTTOM + 18, group, "tick middle"))
        begin = middle - width * len(bars.series) / 2
        for tone, (name, row) in enumerate(bars.series, 1):
            value = row[at]
            if value is not None:
                parts.append(_bar(begin + (tone - 1) * width, up(value), width - 2, tone, f"{group}, {name}", value))
                if len(values) <= _LABELLED_BARS_MAX:
                    parts.append(_text(begin + (tone - 0.5) * width - 1, up(value) - 4, short(value), "value middle"))
    if bound is not None:
        parts.append(_bound(up(bound.at), bound.label))
    return _figure(title, says, "".join(parts), [(name, tone, "") for tone, (name, _) in enumerate(bars.series, 1)])


def stacked_chart(
    title: str, says: str, rows: Sequence[tuple[str, Sequence[float]]], parts: Sequence[str], *, unit: str
) -> str:
    """Lying bars, each made of parts."""
    most = max((sum(values) for _, values in rows), default=1) or 1
    height = ROW * len(rows) + 8
    inner = WIDTH - 2 * RIGHT
    drawn = []
    for at, (label, values) in enumerate(rows):
        top = at * ROW + 4
        drawn.append(_text(RIGHT, top + 12, f"{label}: {number(sum(values))} {unit}", "small"))
        begin = float(RIGHT)
        for tone, (name, value) in enumerate(zip(parts, values, strict=True), 1):
            width = value / most * inner
            drawn.append(
                f'<rect class="t{tone}" x="{begin:.1f}" y="{top + 18}" width="{max(0, width - 1):.1f}" height="20">'
                f"<title>{escape(f'{label}, {name}: {number(value)} {unit}')}</title></rect>"
            )
            begin += width
    return _figure(title, says, "".join(drawn), [(name, tone, "") for tone, name in enumerate(parts, 1)], height=height)


def short(value: float) -> str:
    """A number for an axis: 1.5k, 2M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _scale(values: Sequence[float], axis: Axis, begin: float, end: float, *, is_from_zero: bool = False) -> _Scale:
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if axis.is_log:
        low, high = max(low, 1e-3), max(high, 1e-3)
        if is_from_zero:
            # Upwards a whole step, so that the steps are round.
            low, high = 10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high * 1.05))
        steps = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        chosen = [(10.0**step, short(10.0**step)) for step in steps if low <= 10.0**step <= high]
        return _Scale(low, high, begin, end, is_log=True, ticks=list(axis.ticks) or chosen)
    low = 0.0 if is_from_zero else low
    step = _step((high - low) or 1.0)
    high = math.ceil(high * 1.02 / step) * step if is_from_zero else high
    first = math.ceil(low / step)
    chosen = [(at * step, short(at * step)) for at in range(first, math.floor(high / step + 1e-9) + 1)]
    return _Scale(low, high, begin, end, ticks=list(axis.ticks) or chosen)


def _step(span: float) -> float:
    rough = span / TICKS
    size = 10.0 ** math.floor(math.log10(rough))
    return next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= rough)


def _inner() -> int:
    return HEIGHT - TOP - BOTTOM


def _grid(across: _Scale, up: _Scale) -> str:
    parts = [f'<line class="axis" x1="{LEFT}" y1="{HEIGHT - BOTTOM}" x2="{WIDTH - RIGHT}" y2="{HEIGHT - BOTTOM}"/>']
    for value, label in up.ticks:
        at = up(value)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{at}" x2="{WIDTH - RIGHT}" y2="{at}"/>')
        parts.append(_text(LEFT - 6, at + 4, label, "tick end"))
    for value, label in across.ticks:
        at = across(value)
        parts.append(f'<line class="axis" x1="{at}" y1="{HEIGHT - BOTTOM}" x2="{at}" y2="{HEIGHT - BOTTOM + 4}"/>')
        parts.append(_text(at, HEIGHT - BOTTOM + 18, label, "tick middle"))
    return "".join(parts)


def _labels(x: str, y: str) -> str:
    middle = TOP + _inner() / 2
    return (
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, x, "label middle")
        + f'<text class="label middle" transform="translate(13 {middle}) rotate(-90)">{escape(y)}</text>'
    )


def _line(series: Series, across: _Scale, up: _Scale) -> str:
    places = [(across(x), up(y), x, y) for x, y in series.points]
    path = " ".join(f"{x},{y}" for x, y, _, _ in places)
    dots = "".join(
        f'<circle class="t{series.tone}" cx="{x}" cy="{y}" r="3.2">'
        f"<title>{escape(f'{series.name}: {number(value)} at {number(at)}')}</title></circle>"
        for x, y, at, value in places
    )
    return f'<polyline class="s{series.tone}{_dashed(series)}" points="{path}"/>{dots}'


def _dashed(series: Series) -> str:
    return " dashed" if series.is_dashed else ""


def _bar(x: float, y: float, width: float, tone: int, name: str, value: float) -> str:
    height = max(0.0, HEIGHT - BOTTOM - y)
    return (
        f'<rect class="t{tone}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{height:.1f}">'
        f"<title>{escape(f'{name}: {number(value)}')}</title></rect>"
    )


def _bound(at: float, label: str) -> str:
    return f'<line class="bound" x1="{LEFT}" y1="{at}" x2="{WIDTH - RIGHT}" y2="{at}"/>' + _text(
        WIDTH - RIGHT, at - 5, label, "bound end"
    )


def _text(x: float, y: float, what: str, classes: str) -> str:
    return f'<text class="{classes}" x="{x:.1f}" y="{y:.1f}">{escape(what)}</text>'


def _figure(title: str, says: str, drawn: str, names: Sequence[tuple[str, int, str]], *, height: int = HEIGHT) -> str:
    legend = "".join(f'<li><i class="t{tone}{more}"></i>{escape(name)}</li>' for name, tone, more in names)
    return (
        f"<figure><h3>{escape(title)}</h3><ul class=legend>{legend}</ul>"
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">{drawn}</svg>'
        f"<figcaption>{escape(says)}</figcaption></figure>"
    )
