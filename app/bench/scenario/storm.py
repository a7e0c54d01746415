"""Fifty logins a second while bookings go on: hashing must not take the bookings' processor."""

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import merge

from app.bench.bound import Bound, none
from app.bench.generator import Generator
from app.bench.latency import Latency, percentile
from app.bench.measuring import REFUSED_EARLY, SUCCESS, Bench, at_random, closed_loop, errors, per_second, statuses
from app.bench.requests import Request, Sample, Schedule
from app.bench.traffic import READERS

BOOKINGS_PER_SECOND, LOGINS_PER_SECOND = 100, 50
CONNECTIONS = 512
SLOWER_MAX = 2.0


@dataclass(frozen=True, slots=True)
class StormResult:
    """Bookings before and during the storm, and what became of the logins."""

    bookings_quiet: Latency
    bookings_during: Latency
    slower: float
    bookings_statuses: dict[str, int]
    # Neither booked nor refused under load; and refused.
    bookings_errors: int
    bookings_refused: int
    bookings_p95_by_second: list[float]
    came_at_s: float
    logins_offered: int
    logins_statuses: dict[str, int]
    logins_errors: int
    logins_per_second: float
    logins: Latency
    refusals: Latency
    generator_share: float


def measure(bench: Bench) -> StormResult:
    """A quiet while, then the storm; the bookings go on through both."""
    scale = bench.scale
    seconds = scale.storm_quiet_s + scale.storm_s
    with bench.serve() as server:
        bench.tell("storm: warming up")
        closed_loop(bench, server, "bookings", connections=8, seconds=scale.warm_up_s)
        bookings = list(bench.traffic.bookings(int(BOOKINGS_PER_SECOND * seconds)))
        readers = min(READERS, bench.town.patients)
        logins = [bench.traffic.login(number % readers) for number in range(int(LOGINS_PER_SECOND * scale.storm_s))]
        # At random moments: two metronomes would meet at every beat, or never.
        rng = bench.traffic.rng
        storm = at_random(rng, logins, begin=scale.storm_quiet_s, end=seconds)
        schedule: Schedule = merge(at_random(rng, bookings, begin=0, end=seconds), storm, key=_due)
        bench.tell(f"storm: {LOGINS_PER_SECOND} logins a second")
        with Generator(server.port, connections=CONNECTIONS) as generator:
            run = generator.open_loop(schedule, seconds=seconds)
    booked = [sample for sample in run.samples if sample.kind == "booking"]
    logged_in = [sample for sample in run.samples if sample.kind == "login"]
    quiet = _latency(sample for sample in booked if sample.due < scale.storm_quiet_s)
    during = _latency(sample for sample in booked if sample.due >= scale.storm_quiet_s)
    return StormResult(
        bookings_quiet=quiet,
        bookings_during=during,
        slower=round(during.p95 / max(quiet.p95, 1e-9), 3),
        bookings_statuses=statuses(booked),
        bookings_errors=errors(booked, REFUSED_EARLY),
        bookings_refused=sum(sample.status in REFUSED_EARLY for sample in booked),
        bookings_p95_by_second=per_second(booked, seconds, _p95),
        came_at_s=scale.storm_quiet_s,
        logins_offered=len(logins),
        logins_statuses=statuses(logged_in),
        logins_errors=errors(logged_in, REFUSED_EARLY),
        logins_per_second=round(sum(sample.status in SUCCESS for sample in logged_in) / scale.storm_s, 2),
        logins=_latency(logged_in),
        refusals=Latency.of(sample.latency_ms for sample in logged_in if sample.status in REFUSED_EARLY),
        generator_share=round(run.cpu_seconds / run.drained_s, 3),
    )


def bounds(result: StormResult) -> list[Bound]:
    """Bookings are at most twice as slow, and nobody gets an answer that says nothing."""
    return [
        Bound("storm", "bookings: p95 in the storm / p95 before", result.slower, "≤", SLOWER_MAX),
        none("storm", "bookings answered other than 2xx, 429, 503", result.bookings_errors),
        Bound("storm", "bookings answered 429 or 503", result.bookings_refused, "=", 0),
        none("storm", "logins answered other than 2xx, 429, 503", result.logins_errors),
    ]


def _latency(samples: Iterable[Sample]) -> Latency:
    return Latency.of(sample.latency_ms for sample in samples if sample.status in SUCCESS)


def _due(entry: tuple[float, Request]) -> float:
    return entry[0]


def _p95(times: Iterable[float]) -> float:
    return percentile(sorted(times), 0.95)
