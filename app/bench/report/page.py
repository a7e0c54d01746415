"""The whole page, from what was found."""

from collections.abc import Iterator
from dataclasses import asdict
from html import escape
from pathlib import Path
from statistics import median
from typing import Any

from app.bench.report import pressure, speed
from app.bench.report.markup import Section, figures, table
from app.bench.scenario.http import HttpResult
from app.bench.suite import Findings

CSS = Path(__file__).with_name("page.css")
TITLE = "Telemed: how fast, and how it behaves under load"


def page(found: Findings) -> str:
    """One HTML document that needs nothing else."""
    parts = [_summary(found), *_sections(found.results), _environment(found)]
    links = " ".join(f'<a href="#{escape(part.name)}">{escape(part.title)}</a>' for part in parts)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(TITLE)}</title><style>{CSS.read_text()}</style></head><body>"
        f"<header><h1>{escape(TITLE)}</h1><p class=soft>{escape(_where(found))}</p><nav>{links}</nav></header>"
        f"<main>{''.join(part.html() for part in parts)}</main></body></html>\n"
    )


def _sections(results: dict[str, Any]) -> Iterator[Section]:
    """What was measured, in the order in which it is asked: is it fast, why not faster, what if it gets crowded."""
    if "limit" in results:
        yield speed.against_limit(results["limit"], results.get("http"))
    for name, section in (
        ("http", speed.over_http),
        ("pairs", speed.ratios),
        ("profile", speed.functions),
        ("growth", speed.grown),
        ("day", pressure.days),
        ("crowd", pressure.crowds),
        ("storm", pressure.storms),
        ("overload", pressure.overloads),
        ("hold", pressure.held),
    ):
        if name in results:
            yield section(results[name])


def _summary(found: Findings) -> Section:
    is_quick = found.options.scale.is_quick
    deciding = [bound for bound in found.bounds if not (is_quick and bound.is_timed)]
    rows = "".join(
        f'<tr><td class="{bound.verdict(is_quick=is_quick).lower()}">{bound.verdict(is_quick=is_quick)}</td>'
        f'<th scope="row">{escape(bound.name)}</th><td class="n">{escape(bound.measured_text)}</td>'
        f"<td>{escape(bound.limit_text)}</td><td>{_link(bound.scenario, found)}</td></tr>"
        for bound in found.bounds
    )
    headings = "".join(f"<th>{heading}</th>" for heading in ("", "What", "Measured", "Bound", "Where"))
    says = f"{len(deciding) - len(found.missed)} of {len(deciding)} bounds are kept."
    if is_quick:
        says += " This was a quick run: it asks whether everything works, and what depends on time is only told."
    return Section(
        "summary",
        "The verdict",
        says,
        f'<div class="wide"><table class="verdicts"><thead><tr>{headings}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>",
    )


def _link(name: str, found: Findings) -> str:
    return f'<a href="#{escape(name)}">{escape(name)}</a>' if name in found.results else escape(name)


def _where(found: Findings) -> str:
    machine = found.machine
    return (
        f"{found.began_at:%Y-%m-%d %H:%M} UTC · commit {machine.commit} · {machine.cpu}, {machine.cores} cores, "
        f"{machine.memory_gb:g} GB · PostgreSQL {machine.postgresql} · Python {machine.python} · "
        f"{found.options.workers} workers · {found.seconds.get('all', 0) / 60:.1f} minutes"
    )


def _environment(found: Findings) -> Section:
    machine = found.machine
    facts = [
        ("machine", f"{machine.cpu}, {machine.cores} cores, {machine.memory_gb:g} GB memory"),
        ("system", machine.kernel),
        ("load before the run", f"{machine.load_before}"),
        ("PostgreSQL", f"{machine.postgresql}, the embedded server with its defaults, on the same cores"),
        ("Python", machine.python),
        ("packages", ", ".join(f"{name} {version}" for name, version in machine.packages.items())),
        ("commit", machine.commit),
        ("begun", f"{found.began_at:%Y-%m-%d %H:%M:%S} UTC"),
        (
            "duration",
            f"{found.seconds.get('all', 0):.0f} s; the town was loaded in {found.seconds.get('load', 0):.0f} s",
        ),
        ("workers", f"{found.options.workers}, everything else of telemed serve at its defaults"),
        ("load generator", f"our own: Python, epoll, one thread; {_generator_us(found):.0f} µs of processor a request"),
        *(("failed: " + name, why) for name, why in found.failures.items()),
    ]
    parameters = [(name, _plain(value)) for name, value in asdict(found.options.scale).items()]
    seconds = [(name, f"{value:.1f}") for name, value in found.seconds.items()]
    return Section(
        "environment",
        "What it was measured on",
        "Server, PostgreSQL and load generator share the cores. Times are percentiles, counted from when a request was "
        "due; a second machine for the load would make every figure better.",
        table(("", ""), facts, classes="facts")
        + figures("Parameters", table(("parameter", "value"), parameters, classes="facts"))
        + figures("Seconds by part", table(("part", "seconds"), seconds, classes="facts")),
    )


def _generator_us(found: Findings) -> float:
    http: HttpResult | None = found.results.get("http")
    if http is None:
        return 0.0
    return float(median(one.cost.generator_us for one in (*http.bookings, *http.searches)))


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_plain, value))
    return str(value) if isinstance(value, bool) else f"{value:,}"
