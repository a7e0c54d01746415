"""The same requests on ever larger towns: a good plan stays flat."""

from contextlib import ExitStack
from dataclasses import dataclass, replace

from app.bench import loading
from app.bench.bound import Bound, none
from app.bench.generator import Generator
from app.bench.latency import Latency
from app.bench.measuring import Bench, errors
from app.bench.server import Cluster, Serve
from app.bench.town import Town
from app.bench.traffic import Traffic
from app.encryption.rules import KeyRing

CONNECTIONS = 8
RATIO_MAX = 1.5
# Nobody logs in here.
NO_PASSWORD = "!"  # noqa: S105 - no hash looks like this


@dataclass(frozen=True, slots=True)
class Size:
    """A town of so many slots: for each operation the latency of every round. The best round counts."""

    slots: int
    load_s: float
    bookings: list[Latency]
    searches: list[Latency]
    errors: int

    def best(self, operation: str) -> float:
        """The smallest p95: what another process on the machine took is not the plan's fault."""
        rounds: list[Latency] = getattr(self, operation)
        return min(latency.p95 for latency in rounds)


@dataclass(frozen=True, slots=True)
class GrowthResult:
    """From the smallest town to the largest; the ratios are of the largest best p95 to the smallest."""

    sizes: list[Size]
    bookings_ratio: float
    searches_ratio: float
    doubles: int


@dataclass(frozen=True, slots=True)
class _Grown:
    cluster: Cluster
    server: Serve
    traffic: Traffic
    load_s: float


def measure(bench: Bench) -> GrowthResult:
    """All towns are there at once and take turns, so that a slow minute of the machine is one for all of them."""
    scale = bench.scale
    sizes = {slots: Size(slots, 0, [], [], 0) for slots in scale.growth_slots}
    with ExitStack() as stack:
        grown = {slots: _grow(bench, stack, scale.grown_town(slots)) for slots in scale.growth_slots}
        for slots, town in grown.items():
            bench.tell(f"growth: warming up {slots:,} slots")
            _round(sizes[slots], town, bookings=scale.growth_warm_up, searches=scale.growth_warm_up)
            sizes[slots] = replace(sizes[slots], load_s=round(town.load_s, 1))
        for turn in range(scale.growth_rounds):
            for slots, town in grown.items():
                bench.tell(f"growth: {slots:,} slots, round {turn + 1} of {scale.growth_rounds}")
                sizes[slots] = _round(
                    sizes[slots], town, bookings=scale.growth_requests, searches=scale.growth_searches
                )
        doubles = sum(loading.doubles(town.cluster.url("postgres")) for town in grown.values())
    measured = list(sizes.values())
    return GrowthResult(measured, _ratio(measured, "bookings"), _ratio(measured, "searches"), doubles)


def bounds(result: GrowthResult) -> list[Bound]:
    """p95 of the slowest town against the fastest."""
    return [
        Bound("growth", "bookings: largest p95 / smallest, over all sizes", result.bookings_ratio, "≤", RATIO_MAX),
        Bound("growth", "searches: largest p95 / smallest, over all sizes", result.searches_ratio, "≤", RATIO_MAX),
        none("growth", "answers other than 2xx", sum(size.errors for size in result.sizes)),
        none("growth", "rows that break a constraint", result.doubles),
    ]


def _grow(bench: Bench, stack: ExitStack, town: Town) -> _Grown:
    bench.tell(f"growth: loading {town.slots:,} slots")
    cluster = stack.enter_context(Cluster(bench.folder / f"growth-{town.slots}"))
    load_s = loading.load(
        cluster.url("postgres"),
        town,
        password_hash=NO_PASSWORD,
        ring=KeyRing([cluster.secret]),
        progress=bench.progress,
    )
    server = stack.enter_context(Serve(cluster, workers=bench.workers, environment=bench.environment))
    return _Grown(cluster, server, Traffic(town, secret_key=cluster.secret), load_s)


def _round(size: Size, grown: _Grown, *, bookings: int, searches: int) -> Size:
    """A fixed number of each, so that every town does the same work."""
    made = {"bookings": list(grown.traffic.bookings(bookings)), "searches": list(grown.traffic.searches(searches))}
    found = {}
    failed = 0
    with Generator(grown.server.port, connections=CONNECTIONS) as generator:
        for operation, requests in made.items():
            run = generator.closed_loop(requests)
            found[operation] = Latency.of(sample.latency_ms for sample in run.samples)
            failed += errors(run.samples)
    return replace(
        size,
        bookings=[*size.bookings, found["bookings"]],
        searches=[*size.searches, found["searches"]],
        errors=size.errors + failed,
    )


def _ratio(sizes: list[Size], operation: str) -> float:
    p95 = [size.best(operation) for size in sizes]
    return round(max(p95) / max(min(p95), 1e-9), 3)
