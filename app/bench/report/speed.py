"""The report's sections about how fast it is, and why not faster."""

from collections.abc import Sequence

from app.bench.bound import number
from app.bench.limit import Limit
from app.bench.measuring import Measured
from app.bench.report.markup import Cell, Section, charts, figures, statuses, table
from app.bench.report.svg import Axis, Bars, Mark, Series, bar_chart, line_chart, short, stacked_chart
from app.bench.scenario.growth import RATIO_MAX, GrowthResult
from app.bench.scenario.http import HttpResult
from app.bench.scenario.limit import LimitResult
from app.bench.scenario.pairs import BOOKINGS_RATIO_MIN, Pair, PairsResult
from app.bench.scenario.profile import Line, ProfileResult

_MS = Axis("milliseconds, log", is_log=True)
WHO = ("PostgreSQL", "Python workers", "load generator")
_MEASURED = ("connections", "offered /s", "2xx /s", "p50 ms", "p95 ms", "p99 ms", "max ms", "PostgreSQL µs")
_MEASURED_MORE = ("Python µs", "generator µs", "generator share", "answers")


def against_limit(limit: LimitResult, http: HttpResult | None) -> Section:
    """Throughput beside what PostgreSQL alone reaches."""
    drawn = [
        _throughput("Bookings", limit.bookings, http.bookings if http else []),
        _throughput("Slot searches, 50 a page", limit.searches, http.searches if http else []),
    ]
    rows = [
        (f"{name}, {one.clients} clients", one.per_second, one.latency_ms)
        for name, found in (("bookings", limit.bookings), ("searches", limit.searches))
        for one in found
    ]
    return Section(
        "limit",
        "Throughput against the limit",
        "The limit is pgbench with the very SQL statement that the application sends, prepared, on the same server: "
        "what PostgreSQL can do when nobody checks a token, validates a body or speaks HTTP.",
        charts(*drawn) + figures("The figures of pgbench", table(("", "per second", "mean latency, ms"), rows)),
    )


def over_http(result: HttpResult) -> Section:
    """Latency by connections, and by what is offered."""
    drawn = [
        _latency_chart("Bookings: latency by connections", result.bookings),
        _latency_chart("Searches: latency by connections", result.searches),
        _offered_chart(result),
    ]
    rows = [
        *(_measured(f"{kind}, closed loop", one) for kind, found in _by_kind(result) for one in found),
        *(_measured("bookings, open loop", one) for one in result.open_bookings),
        *(_measured("searches, open loop", one) for one in result.open_searches),
        _measured("GET /health/live", result.live),
    ]
    turns: list[tuple[Cell, ...]] = [
        (number, turn.pages_per_second, turn.bare_per_second, turn.share)
        for number, turn in enumerate(result.turns, start=1)
    ]
    return Section(
        "http",
        "Over HTTP",
        "Closed loop: each connection sends its next request when it has its answer, so that latency grows with the "
        "connections once the server is busy. Open loop: requests come at a fixed rate and are timed from when they "
        f"were due. For each answer of an empty application this one makes {result.pages_per_bare:.2f} pages, the "
        "median of turns with 32 connections.",
        charts(*drawn)
        + table(("turn", "pages /s", "empty application /s", "pages for each answer"), turns)
        + figures("All figures", table(("", *_MEASURED, *_MEASURED_MORE), rows)),
    )


def ratios(result: PairsResult) -> Section:
    """The pairs, and where a request's processor time goes."""
    rows = [
        (
            f"{kind}, pair {turn}",
            pair.http.per_second,
            pair.limit.per_second,
            pair.ratio,
            pair.http.latency.p95,
            *_cost(pair.http),
        )
        for kind, pairs in (("bookings", result.bookings), ("searches", result.searches))
        for turn, pair in enumerate(pairs, 1)
    ]
    headings = ("", "HTTP /s", "pgbench /s", "ratio", "HTTP p95 ms", *(f"{who}, µs" for who in WHO))
    return Section(
        "pairs",
        "HTTP and PostgreSQL in turns",
        "Both halves of a pair ran directly one after the other, with 32 connections or clients, so that a slow minute "
        f"of the machine is in both. Medians: bookings {result.bookings_ratio:.2f}, "
        f"searches {result.searches_ratio:.2f}.",
        charts(
            _pairs_chart(result),
            stacked_chart(
                "Where a request's processor time goes",
                "Each bar is the processor time of one request, summed over all processes that work for it.",
                [("a booking", _middle(result.bookings)), ("a search", _middle(result.searches))],
                WHO,
                unit="µs",
            ),
        )
        + figures("All pairs", table(headings, rows)),
    )


def functions(result: ProfileResult) -> Section:
    """Function by function."""
    body = ""
    for name, profile in (("bookings", result.bookings), ("searches", result.searches)):
        body += (
            f"<h3>{name}: {profile.measured.cost.python_us:,.0f} µs of Python for each request, "
            f"p95 {number(profile.measured.latency.p95)} ms, {profile.samples:,} samples</h3>"
            + table(("Package or room", "share", "µs"), _lines(profile.packages[:14]))
            + figures(f"{name}: functions by their own time", _functions(profile.own))
            + figures(f"{name}: functions with what they call", _functions(profile.all))
        )
    return Section(
        "profile",
        "Where Python's time goes",
        "One worker under 32 connections, interrupted at the kernel's ticks while it works; time that is spent in C "
        "counts for the Python function that called it. Being watched makes it slower, so that the shares "
        "say more than the microseconds.",
        body,
    )


def grown(result: GrowthResult) -> Section:
    """p95 by size."""
    ticks = [(size.slots, short(size.slots)) for size in result.sizes]
    series = [
        Series(f"{operation}, p95", [(size.slots, size.best(operation)) for size in result.sizes], tone)
        for tone, operation in enumerate(("bookings", "searches"), 1)
    ]
    rows: list[tuple[Cell, ...]] = [
        (
            f"{size.slots:,} slots",
            size.load_s,
            *(min(latency.p50 for latency in rounds) for rounds in (size.bookings, size.searches)),
            *(" · ".join(f"{latency.p95:.2f}" for latency in rounds) for rounds in (size.bookings, size.searches)),
        )
        for size in result.sizes
    ]
    headings = ("", "load, s", "bookings p50", "searches p50", "bookings p95 by round", "searches p95 by round")
    return Section(
        "growth",
        "Growth",
        "The same number of requests over 8 connections on towns of every size, all of them up at once and taking "
        "turns; each size counts with its best round. A good plan is a flat line. Largest to smallest: bookings "
        f"{result.bookings_ratio:.2f}, searches {result.searches_ratio:.2f}; the bound is {RATIO_MAX}.",
        charts(
            line_chart(
                "p95 by the number of slots",
                "Flat is good: a thousand times the slots, the same wait.",
                series,
                x=Axis("slots in the clinic, log", is_log=True, ticks=ticks),
                y=Axis("milliseconds"),
            )
        )
        + figures("All rounds", table(headings, rows)),
    )


def _throughput(title: str, limit: Sequence[Limit], http: Sequence[Measured]) -> str:
    counts = sorted({one.clients for one in limit} | {one.connections for one in http})
    reached = {one.clients: one.per_second for one in limit}
    ours = {one.connections: one.per_second for one in http}
    return bar_chart(
        title,
        "By clients or connections. The nearer the second bar comes to the first, the less is lost above the database.",
        Bars(
            [str(count) for count in counts],
            [("pgbench", [reached.get(count) for count in counts]), ("HTTP", [ours.get(count) for count in counts])],
        ),
        y=Axis("per second"),
    )


def _latency_chart(title: str, found: Sequence[Measured]) -> str:
    series = [
        Series(name, [(one.connections, max(0.01, getattr(one.latency, name))) for one in found], tone)
        for tone, name in enumerate(("p50", "p95", "p99"), 1)
    ]
    return line_chart(
        title,
        "Where the lines begin to rise together, the server is busy and more connections only wait longer.",
        series,
        x=Axis("connections, log", is_log=True, ticks=[(one.connections, str(one.connections)) for one in found]),
        y=_MS,
    )


def _offered_chart(result: HttpResult) -> str:
    series = [
        Series(
            f"{kind}, {name}",
            [(one.offered_per_second or 0, max(0.01, getattr(one.latency, name))) for one in found],
            tone,
            is_dashed=name == "p50",
        )
        for tone, (kind, found) in enumerate(
            (("bookings", result.open_bookings), ("searches", result.open_searches)), 1
        )
        for name in ("p50", "p95")
    ]
    return line_chart(
        "Latency by what is offered",
        "The practical curve: how long people wait when so many a second come, answered or not.",
        series,
        x=Axis("offered per second"),
        y=_MS,
    )


def _pairs_chart(result: PairsResult) -> str:
    series = [
        Series(kind, [(turn, pair.ratio) for turn, pair in enumerate(pairs, 1)], tone)
        for tone, (kind, pairs) in enumerate((("bookings", result.bookings), ("searches", result.searches)), 1)
    ]
    turns = range(1, 1 + max(len(result.bookings), len(result.searches)))
    return line_chart(
        "HTTP / pgbench, pair by pair",
        "1 would be as fast as PostgreSQL alone. Bookings must stay above the dashed line.",
        series,
        x=Axis("pair", ticks=[(turn, str(turn)) for turn in turns]),
        y=Axis("ratio"),
        bound=Mark(f"bookings ≥ {BOOKINGS_RATIO_MIN}", BOOKINGS_RATIO_MIN),
    )


def _by_kind(result: HttpResult) -> list[tuple[str, list[Measured]]]:
    return [("bookings", result.bookings), ("searches", result.searches)]


def _measured(name: str, one: Measured) -> tuple[str | float | int | None, ...]:
    latency = one.latency
    times = (latency.p50, latency.p95, latency.p99, latency.most)
    share = f"{one.generator_share:.0%}"
    return (
        name,
        one.connections,
        one.offered_per_second,
        one.per_second,
        *times,
        *_cost(one),
        share,
        statuses(one.statuses),
    )


def _cost(one: Measured) -> tuple[float, float, float]:
    return one.cost.postgres_us, one.cost.python_us, one.cost.generator_us


def _middle(pairs: Sequence[Pair]) -> tuple[float, ...]:
    """The pair whose total is the median."""
    ordered = sorted((_cost(pair.http) for pair in pairs), key=sum)
    return ordered[len(ordered) // 2]


def _lines(lines: Sequence[Line]) -> list[tuple[str, str, float]]:
    return [(line.name, f"{line.share:.1%}", line.us) for line in lines]


def _functions(lines: Sequence[Line]) -> str:
    return table(("Function", "share", "µs"), _lines(lines))
