"""The report's sections about what happens when it gets crowded, and on an ordinary day."""

from statistics import median

from app.bench.latency import Latency
from app.bench.report.markup import Cell, Section, charts, figures, statuses, table
from app.bench.report.svg import Axis, Bars, Mark, Series, bar_chart, line_chart
from app.bench.scenario.crowd import OTHERS_P95_MS, SLOTS, CrowdResult
from app.bench.scenario.day import READ_P95_MS, WRITE_P95_MS, Day, DayResult
from app.bench.scenario.hold import HoldResult
from app.bench.scenario.overload import TIMES, OverloadResult
from app.bench.scenario.storm import BOOKINGS_PER_SECOND, LOGINS_PER_SECOND, StormResult

_LATENCY = ("count", "p50 ms", "p95 ms", "p99 ms", "max ms")
_MS = Axis("milliseconds, log", is_log=True)


def days(result: DayResult) -> Section:
    """The mixed day."""
    factors = [f"{day.factor}×" for day in result.days]
    reads: list[float | None] = [day.reads.p95 for day in result.days]
    writes: list[float | None] = [day.writes.p95 for day in result.days]
    busiest = result.days[-1]
    rows = [_day(day) for day in result.days]
    headings = ("", "offered /s", "2xx /s", "reads p50", "p95", "p99", "writes p50", "p95", "p99", *_DAY_MORE)
    return Section(
        "day",
        "A mixed day",
        "90 % search and reads, 8 % bookings, 2 % cancellations, completions and logins; people come at random moments "
        "(Poisson), and 1× is a day with 100,000 bookings. Times are since a request was due, of every answer.",
        charts(
            bar_chart(
                "p95 by factor",
                f"Reads must stay below {READ_P95_MS} ms, writes below {WRITE_P95_MS} ms.",
                Bars(factors, [("reads", reads), ("writes", writes)]),
                y=Axis("milliseconds"),
                bound=Mark(f"reads ≤ {READ_P95_MS} ms", READ_P95_MS),
            ),
            _curve_chart(busiest),
        )
        + table(headings, rows)
        + "".join(figures(f"{day.factor}×: by kind of request", _kinds(day)) for day in result.days),
    )


_DAY_MORE = ("errors", "PostgreSQL", "Python", "generator", "answers")


def _day(day: Day) -> tuple[str | float | int, ...]:
    times = [time for one in (day.reads, day.writes) for time in (one.p50, one.p95, one.p99)]
    shares = [f"{share:.0%}" for share in (day.postgres_share, day.python_share, day.generator_share)]
    wrong = day.errors + day.refused
    return (
        f"{day.factor}×",
        day.offered_per_second,
        day.answered_per_second,
        *times,
        wrong,
        *shares,
        statuses(day.statuses),
    )


def _kinds(day: Day) -> str:
    rows = [(kind.name, *_latency(kind.latency), statuses(kind.statuses)) for kind in day.kinds]
    return table(("", *_LATENCY, "answers"), rows)


def _curve_chart(day: Day) -> str:
    # The further right, the rarer: 99 % stands as far from 90 % as 99.9 % does from 99 %.
    series = [
        Series(name, [(1 / (1 - share), max(0.01, time)) for share, time in curve], tone)
        for tone, (name, curve) in enumerate((("reads", day.read_curve), ("writes", day.write_curve)), 1)
    ]
    ticks = [(2, "50 %"), (10, "90 %"), (100, "99 %"), (1000, "99.9 %"), (10_000, "99.99 %")]
    last = max((point[0] for one in series for point in one.points), default=10)
    return line_chart(
        f"{day.factor}×: the whole curve",
        "How long the luckiest 50 %, 90 %, 99 % … of all requests waited at most.",
        series,
        x=Axis("share of requests", is_log=True, ticks=[tick for tick in ticks if tick[0] <= last * 1.01]),
        y=_MS,
    )


def crowds(result: CrowdResult) -> Section:
    """The flash crowd."""
    crowd = result.crowd
    rows = [
        ("everyone else, before", *_latency(result.others_quiet)),
        ("everyone else, meanwhile", *_latency(result.others_during)),
        ("the crowd: booked", *_latency(crowd.bookings)),
        ("the crowd: too late", *_latency(crowd.conflicts)),
        ("the crowd: come back later", *_latency(crowd.refusals)),
    ]
    return Section(
        "crowd",
        "Flash crowd",
        f"{crowd.patients:,} patients want the {SLOTS} slots that one doctor opens, all within two seconds, over "
        f"{crowd.connections:,} connections; the rest of the clinic goes on at {result.others_per_second:.0f} requests "
        f"a second. {result.booked} were booked, {result.doubles} doubles; the last slot was gone after "
        f"{crowd.sold_out_s:.1f} s, the last patient had an answer after {crowd.over_s:.1f} s, "
        f"{crowd.without_answer:,} left without one. "
        f"Answers to the crowd: {statuses(crowd.statuses)}; to everyone else: {statuses(result.others_statuses)}.",
        charts(
            line_chart(
                "Everyone else's p95, second by second",
                "Shaded: the crowd is there. The line should not notice it.",
                [Series("everyone else, p95", _seconds(result.others_p95_by_second), 1)],
                x=Axis("seconds"),
                y=Axis("milliseconds"),
                bound=Mark(f"≤ {OTHERS_P95_MS} ms", OTHERS_P95_MS),
                stretch=Mark("crowd", result.came_at_s, result.came_at_s + result.crowd_s),
            ),
            _before_chart("Everyone else", result.others_quiet, result.others_during, "crowd"),
        )
        + table(("", *_LATENCY), rows),
    )


def storms(result: StormResult) -> Section:
    """The login storm."""
    rows = [
        ("bookings, before", *_latency(result.bookings_quiet)),
        ("bookings, in the storm", *_latency(result.bookings_during)),
        ("logins that succeeded", *_latency(result.logins)),
        ("logins refused early", *_latency(result.refusals)),
    ]
    return Section(
        "storm",
        "Login storm",
        f"{BOOKINGS_PER_SECOND} bookings a second go on while {LOGINS_PER_SECOND} people a second log in, each with a "
        "password hash that is slow on purpose. What cannot be hashed in time must be refused early, and the "
        f"bookings' p95 must not double: it was {result.slower:.2f} times as long. "
        f"{result.logins_per_second:.1f} logins a second succeeded. Answers to bookings: "
        f"{statuses(result.bookings_statuses)}; to logins: {statuses(result.logins_statuses)}.",
        charts(
            line_chart(
                "Bookings' p95, second by second",
                "Shaded: the storm. The line should stay where it was.",
                [Series("bookings, p95", _seconds(result.bookings_p95_by_second), 1)],
                x=Axis("seconds"),
                y=Axis("milliseconds"),
                stretch=Mark("storm", result.came_at_s, float(len(result.bookings_p95_by_second))),
            ),
            _before_chart("Bookings", result.bookings_quiet, result.bookings_during, "storm"),
        )
        + table(("", *_LATENCY), rows),
    )


def overloads(result: OverloadResult) -> Section:
    """Four times the peak."""
    seconds = range(len(result.goodput_by_second))
    series = [
        Series("booked", [(at, result.goodput_by_second[at]) for at in seconds], 3),
        Series("refused at once", [(at, result.refused_by_second[at]) for at in seconds], 2),
    ]
    rows = [
        ("booked", *_latency(result.accepted)),
        ("429 or 503", *_latency(result.refusals)),
        ("429 or 503, since sent", *_latency(result.refusals_since_sent)),
        ("429 or 503, or never sent", *_latency(result.excess)),
        ("before, at a quarter of the peak", *_latency(result.quiet)),
    ]
    rounds: list[tuple[Cell, ...]] = [
        (number, one.peak_per_second, one.goodput_per_second, one.share)
        for number, one in enumerate(result.rounds, start=1)
    ]
    return Section(
        "overload",
        f"{TIMES}× overload",
        f"{TIMES} times as many bookings as the server can make are offered for {result.seconds:.0f} s in all, over "
        f"{result.connections:,} connections. Goodput is {result.goodput_share:.0%} of the peak, the median of "
        f"{len(rounds)}; {result.unsent:,} found no free connection; normal again {result.recovery_s:.1f} s after the "
        f"end. Answers: {statuses(result.statuses)}. The generator took {result.generator_share:.0%} of a core.",
        charts(
            line_chart(
                "Booked and refused, second by second",
                "What is booked should stay at the dashed peak however much is offered; the rest is told at once.",
                series,
                x=Axis("seconds"),
                y=Axis("per second"),
                bound=Mark("peak", median(one.peak_per_second for one in result.rounds)),
            )
        )
        + table(("round", "peak, bookings a second", f"goodput at {TIMES}×", "share"), rounds)
        + table(("", *_LATENCY), rows),
    )


def held(result: HoldResult) -> Section:
    """A thousand connections."""
    rows: list[tuple[Cell, ...]] = [
        ("memory of each worker, MB", _list(result.memory_mb_before), _list(result.memory_mb), ""),
        ("files and sockets of the workers", result.before.files, result.during.files, result.after.files),
        (
            "connections to PostgreSQL",
            result.before.database_connections,
            result.during.database_connections,
            result.after.database_connections,
        ),
    ]
    return Section(
        "hold",
        f"{result.connections:,} connections held",
        f"Half bookings, half searches in a closed loop for {result.seconds:.0f} s; who is told to come back later "
        f"rests. {result.per_second:,.0f} successes a second, p95 {result.latency.p95:,.0f} ms, {result.errors} "
        f"errors, {result.reconnects} broken connections, {result.leaked} leaked. "
        f"Answers: {statuses(result.statuses)}.",
        table(("", "before", "at the end", "after"), rows),
    )


def _before_chart(name: str, before: Latency, during: Latency, what: str) -> str:
    def row(latency: Latency) -> list[float | None]:
        return [latency.p50, latency.p95, latency.p99]

    return bar_chart(
        f"{name}: before and during",
        "The two bars of a pair should be equally high.",
        Bars(["p50", "p95", "p99"], [("before", row(before)), (f"in the {what}", row(during))]),
        y=Axis("milliseconds"),
    )


def _latency(latency: Latency) -> tuple[int, float, float, float, float]:
    return latency.count, latency.p50, latency.p95, latency.p99, latency.most


def _seconds(values: list[float]) -> list[tuple[float, float]]:
    return [(at + 0.5, value) for at, value in enumerate(values)]


def _list(values: list[float]) -> str:
    return " · ".join(f"{value:.0f}" for value in values)
