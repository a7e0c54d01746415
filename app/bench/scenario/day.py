"""A mixed day at 1, 10 and 100 times 100,000 bookings: people come when they come."""

from dataclasses import dataclass

from app.bench import mixture
from app.bench.bound import Bound, none
from app.bench.generator import Generator
from app.bench.latency import Latency, curve
from app.bench.measuring import REFUSED_EARLY, SUCCESS, Bench, closed_loop, errors, statuses
from app.bench.requests import Run, Sample
from app.bench.server import Running, usage

BOOKINGS_A_DAY = 100_000
BOOKINGS_SHARE = 0.08
SECONDS_A_DAY = 86_400
CONNECTIONS = 256
# The generator shares the cores with a server that has none to spare: it looks once a millisecond early.
CROWDED = 32
READ_P95_MS, WRITE_P95_MS = 200, 500
# A slot or a consultation that somebody else was faster with.
CONFLICT = 409


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of request."""

    name: str
    is_write: bool
    latency: Latency
    statuses: dict[str, int]


@dataclass(frozen=True, slots=True)
class Day:
    """At one factor. The rate is of all requests; the latency is since each was due, of whatever was answered."""

    factor: int
    offered_per_second: float
    answered_per_second: float
    reads: Latency
    writes: Latency
    read_curve: list[tuple[float, float]]
    write_curve: list[tuple[float, float]]
    kinds: list[Kind]
    statuses: dict[str, int]
    # Neither a success nor a conflict nor a refusal under load.
    errors: int
    # 429 and 503, and what found every connection busy to the end.
    refused: int
    # Of one core each.
    postgres_share: float
    python_share: float
    generator_share: float


@dataclass(frozen=True, slots=True)
class DayResult:
    """By factor."""

    days: list[Day]


def measure(bench: Bench) -> DayResult:
    """One after the other, on one server."""
    with bench.serve() as server:
        bench.tell("day: warming up")
        for operation in ("bookings", "searches"):
            closed_loop(bench, server, operation, connections=8, seconds=bench.scale.warm_up_s)
        return DayResult([_day(bench, server, factor) for factor in bench.scale.day_factors])


def bounds(result: DayResult) -> list[Bound]:
    """The p95 of reads and writes at each factor, and no errors."""
    found = []
    for day in result.days:
        found += [
            Bound("day", f"{day.factor}×: p95 of reads", day.reads.p95, "≤", READ_P95_MS, "ms"),
            Bound("day", f"{day.factor}×: p95 of writes", day.writes.p95, "≤", WRITE_P95_MS, "ms"),
            none("day", f"{day.factor}×: answers other than 2xx, 409, 429, 503", day.errors),
            Bound("day", f"{day.factor}×: answered 429, 503, or never sent", day.refused, "=", 0),
        ]
    return found


def _day(bench: Bench, server: Running, factor: int) -> Day:
    bench.tell(f"day: {factor}× for {bench.scale.day_s:.0f} s")
    per_second = BOOKINGS_A_DAY / SECONDS_A_DAY / BOOKINGS_SHARE * factor
    # Made before the run: it would take a thirtieth of a core from the server.
    schedule = list(mixture.arrivals(mixture.anything, bench.traffic, per_second=per_second, seconds=bench.scale.day_s))
    with Generator(server.port, connections=CONNECTIONS, crowded=CROWDED) as generator:
        before = usage(bench.cluster, server)
        run = generator.open_loop(schedule, seconds=bench.scale.day_s)
        spent = usage(bench.cluster, server) - before
    reads = [sample.latency_ms for sample in run.samples if sample.kind not in mixture.WRITING_KINDS]
    writes = [sample.latency_ms for sample in run.samples if sample.kind in mixture.WRITING_KINDS]
    return Day(
        factor=factor,
        offered_per_second=round(per_second, 1),
        answered_per_second=round(sum(sample.status in SUCCESS for sample in run.samples) / run.seconds, 1),
        reads=Latency.of(reads),
        writes=Latency.of(writes),
        read_curve=curve(reads),
        write_curve=curve(writes),
        kinds=_kinds(run),
        statuses=statuses(run.samples),
        errors=errors(run.samples, {CONFLICT, *REFUSED_EARLY}),
        refused=run.unsent + sum(sample.status in REFUSED_EARLY for sample in run.samples),
        postgres_share=round(spent.postgres / run.drained_s, 3),
        python_share=round(spent.python / run.drained_s, 3),
        generator_share=round(run.cpu_seconds / run.drained_s, 3),
    )


def _kinds(run: Run) -> list[Kind]:
    by_kind: dict[str, list[Sample]] = {}
    for sample in run.samples:
        by_kind.setdefault(sample.kind, []).append(sample)
    return [
        Kind(
            name,
            name in mixture.WRITING_KINDS,
            Latency.of(sample.latency_ms for sample in samples),
            statuses(samples),
        )
        for name, samples in sorted(by_kind.items(), key=lambda item: -len(item[1]))
    ]
