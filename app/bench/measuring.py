"""One measurement: load for a while, and what it took of whom."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import length_hint
from pathlib import Path
from random import Random

from app.bench.generator import Generator
from app.bench.latency import Latency
from app.bench.loading import Progress
from app.bench.requests import Request, Run, Sample, Schedule
from app.bench.scale import Scale
from app.bench.server import Cluster, Running, Serve, Usage, usage
from app.bench.town import Town
from app.bench.traffic import Traffic

# Requests are made before a run, so that making them is no part of it: more than are answered in its time.
MADE_PER_SECOND = {"bookings": 6_000, "searches": 6_000, "live": 20_000, "bare": 30_000}
SUCCESS = range(200, 300)
REFUSED_EARLY = frozenset({429, 503})
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Bench:
    """What a scenario is given: a loaded cluster, its town's traffic, how much, and whom to tell what is done."""

    scale: Scale
    folder: Path
    cluster: Cluster
    town: Town
    traffic: Traffic
    workers: int
    tell: Tell
    progress: Progress

    @property
    def environment(self) -> dict[str, str]:
        """What the measured `telemed serve` is set to, apart from its defaults."""
        return {"BCRYPT_COST": str(self.scale.bcrypt_cost)}

    def serve(self, *, workers: int | None = None, sampled: Path | None = None) -> Serve:
        """`telemed serve` on the town, not started yet."""
        return Serve(self.cluster, workers=workers or self.workers, environment=self.environment, sampled=sampled)


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor time for each answered request, in µs, by who spent it."""

    postgres_us: float
    python_us: float
    generator_us: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What one measurement found. The rate is of successes, and so is the latency, since each was due."""

    operation: str
    connections: int
    offered_per_second: float | None
    seconds: float
    per_second: float
    latency: Latency
    statuses: dict[str, int]
    errors: int
    cost: Cost
    # Of one core.
    generator_share: float


def closed_loop(
    bench: Bench, server: Running, operation: str, *, connections: int, seconds: float, spends: bool = True
) -> Measured:
    """As fast as so many connections get their answers. `spends=False`: of a server without a database."""
    count = int(MADE_PER_SECOND[operation] * seconds)
    # A third of what is left at most: on a fast machine a small town would be sold out before the last scenario.
    wishes = bench.traffic.take(min(count, bench.traffic.wishes_left // 3)) if operation == "bookings" else []
    made = [bench.traffic.wished(wish) for wish in wishes] or list(_REQUESTS[operation](bench.traffic, count))
    requests = iter(made)
    with Generator(server.port, connections=connections) as generator:
        before = usage(bench.cluster, server)
        run = generator.closed_loop(requests, seconds=seconds)
        spent = usage(bench.cluster, server) - before
    bench.traffic.give_back(wishes[len(made) - length_hint(requests) :])
    return measured(run, operation, spent if spends else Usage(0, spent.python))


def open_loop(
    bench: Bench, server: Running, operation: str, *, connections: int, seconds: float, per_second: float
) -> Measured:
    """So many a second, evenly, whether or not they are answered."""
    made = list(_REQUESTS[operation](bench.traffic, int(per_second * seconds)))
    with Generator(server.port, connections=connections) as generator:
        before = usage(bench.cluster, server)
        run = generator.open_loop(evenly(made, per_second), seconds=seconds)
        spent = usage(bench.cluster, server) - before
    return measured(run, operation, spent, offered_per_second=per_second)


def measured(run: Run, operation: str, spent: Usage, *, offered_per_second: float | None = None) -> Measured:
    """The figures of a run."""
    good = [sample for sample in run.samples if sample.status in SUCCESS]
    in_time = sum(sample.ended <= run.seconds for sample in good)
    answered = max(1, len(run.samples))
    return Measured(
        operation=operation,
        connections=run.connections,
        offered_per_second=offered_per_second,
        seconds=round(run.seconds, 3),
        per_second=round(in_time / run.seconds, 1),
        latency=Latency.of(sample.latency_ms for sample in good),
        statuses=statuses(run.samples),
        errors=errors(run.samples, REFUSED_EARLY),
        cost=Cost(
            postgres_us=round(spent.postgres / answered * 1e6, 1),
            python_us=round(spent.python / answered * 1e6, 1),
            generator_us=round(run.cpu_seconds / answered * 1e6, 1),
        ),
        generator_share=round(run.cpu_seconds / max(run.drained_s, 1e-9), 3),
    )


def statuses(samples: Iterable[Sample]) -> dict[str, int]:
    """How often each status was answered; `unanswered` is one of them."""
    counted = Counter(sample.status for sample in samples)
    return {str(status) if status else "unanswered": counted[status] for status in sorted(counted)}


def errors(samples: Iterable[Sample], expected: Iterable[int] = ()) -> int:
    """How many answers are neither a success nor one of the expected ones."""
    fine = {*SUCCESS, *expected}
    return sum(sample.status not in fine for sample in samples)


def evenly(requests: Sequence[Request], per_second: float) -> Schedule:
    """These requests, one after the other, so many a second."""
    return ((number / per_second, request) for number, request in enumerate(requests))


def at_random(rng: Random, requests: Sequence[Request], *, begin: float, end: float) -> Schedule:
    """These requests, each at a moment of its own: so come people who know nothing of each other."""
    return zip(sorted(rng.uniform(begin, end) for _ in requests), requests, strict=True)


def per_second(samples: Sequence[Sample], seconds: float, share: Callable[[Sequence[float]], float]) -> list[float]:
    """For each second of the run, `share` of the latencies of what was due in it."""
    slices: list[list[float]] = [[] for _ in range(int(seconds) + 1)]
    for sample in samples:
        if sample.due < len(slices):
            slices[int(sample.due)].append(sample.latency_ms)
    return [share(times) if times else 0.0 for times in slices[: int(seconds)]]


_REQUESTS: dict[str, Callable[[Traffic, int], Iterator[Request]]] = {
    "bookings": Traffic.bookings,
    "searches": Traffic.searches,
    "live": Traffic.health,
    "bare": Traffic.bare,
}
