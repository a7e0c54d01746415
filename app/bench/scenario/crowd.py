"""Ten thousand patients want the forty slots that one doctor opens at noon; the rest of the clinic goes on."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import psycopg

from app.bench import crowd, loading, mixture
from app.bench.bound import Bound, none
from app.bench.crowd import Plan, Seen
from app.bench.generator import Generator
from app.bench.latency import Latency, percentile
from app.bench.measuring import SUCCESS, Bench, closed_loop, errors, per_second, statuses
from app.bench.requests import Request, Sample
from app.bench.server import Cluster, Running
from app.bench.town import DAYS_AHEAD
from app.bench.traffic import Traffic

SLOTS, SLOT_LENGTH = 40, timedelta(minutes=15)
# Everybody has heard of this one.
DOCTOR = 0
ARRIVE_S = 2.0
OTHERS_PER_SECOND, OTHERS_CONNECTIONS = 200, 128
OTHERS_P95_MS = 200
# A slot that somebody else was faster with.
EXPECTED = frozenset({409})
CREATED = 201


@dataclass(frozen=True, slots=True)
class CrowdResult:
    """The crowd's own view, the others' times before and during it, and what the database says."""

    crowd: Seen
    # From the first patient until the last had an answer.
    crowd_s: float
    others_quiet: Latency
    others_during: Latency
    others_statuses: dict[str, int]
    others_errors: int
    others_per_second: float
    others_p95_by_second: list[float]
    came_at_s: float
    booked: int
    doubles: int
    others_generator_share: float


def measure(bench: Bench) -> CrowdResult:
    """Forty slots on a day on which nobody has anything yet."""
    scale = bench.scale
    with bench.serve() as server:
        bench.tell("crowd: warming up")
        for operation in ("bookings", "searches"):
            closed_loop(bench, server, operation, connections=8, seconds=scale.warm_up_s)
        slots = _open_slots(bench.traffic, server)
        plan = Plan(
            port=server.port,
            secret=bench.cluster.secret,
            town=bench.town,
            patients=scale.crowd_patients,
            slots=slots,
            connections=scale.crowd_connections,
            arrive_s=ARRIVE_S,
            seconds=scale.crowd_s,
        )
        with crowd.gathered(plan) as gathering, Generator(server.port, connections=OTHERS_CONNECTIONS) as generator:
            warm = mixture.arrivals(
                mixture.elsewhere, bench.traffic, per_second=OTHERS_PER_SECOND, seconds=scale.warm_up_s
            )
            generator.open_loop(warm, seconds=scale.warm_up_s)
            bench.tell(f"crowd: {plan.patients:,} patients before {SLOTS} slots")
            seconds = scale.crowd_quiet_s + scale.crowd_s
            schedule = mixture.arrivals(mixture.elsewhere, bench.traffic, per_second=OTHERS_PER_SECOND, seconds=seconds)
            gathering.comes_at(time.monotonic() + scale.crowd_quiet_s)
            run = generator.open_loop(schedule, seconds=seconds)
            seen = gathering.tells(within_s=60)
    came, left = scale.crowd_quiet_s, scale.crowd_quiet_s + max(ARRIVE_S, seen.over_s)
    booked, doubles = _booked(bench.cluster, slots)
    return CrowdResult(
        crowd=seen,
        crowd_s=round(left - came, 2),
        others_quiet=_between(run.samples, 0, came),
        others_during=_between(run.samples, came, left),
        others_statuses=statuses(run.samples),
        others_errors=errors(run.samples, EXPECTED) + run.unsent,
        others_per_second=OTHERS_PER_SECOND,
        others_p95_by_second=per_second(run.samples, seconds, _p95),
        came_at_s=came,
        booked=booked,
        doubles=doubles,
        others_generator_share=round(run.cpu_seconds / run.drained_s, 3),
    )


def bounds(result: CrowdResult) -> list[Bound]:
    """Forty bookings, no doubles, and nobody else notices."""
    return [
        Bound("crowd", f"bookings of the {SLOTS} slots", result.booked, "=", SLOTS, is_timed=False),
        none("crowd", "doubles", result.doubles),
        none("crowd", "answers to the crowd that nobody expects", result.crowd.surprised),
        Bound("crowd", "everyone else's p95 meanwhile", result.others_during.p95, "≤", OTHERS_P95_MS, "ms"),
        Bound("crowd", "everyone else's answers other than 2xx, 409", result.others_errors, "=", 0),
    ]


def _open_slots(traffic: Traffic, server: Running) -> list[int]:
    first = traffic.town.tomorrow + timedelta(days=DAYS_AHEAD + 1, hours=8)
    begins = [first + number * SLOT_LENGTH for number in range(SLOTS)]
    request = traffic.opening(DOCTOR, [(begin, begin + SLOT_LENGTH) for begin in begins])
    answered: list[tuple[int, bytes]] = []

    def note(status: int, body: bytes, _retry_after: float) -> Iterable[tuple[float, Request]]:
        answered.append((status, body))
        return ()

    request.then = note
    with Generator(server.port, connections=1) as generator:
        generator.closed_loop([request])
    status, body = answered[0]
    if status != CREATED:
        raise loading.BrokenTown(f"the doctor could not open the slots: {status} {body[:200]!r}")
    return crowd.slot_ids(body)


def _booked(cluster: Cluster, slots: list[int]) -> tuple[int, int]:
    """How many of these slots are booked, and how many consultations there are too many, in the whole town."""
    with psycopg.connect(cluster.url("postgres")) as connection:
        row = connection.execute(
            "SELECT count(*) FROM consultations WHERE slot_id = ANY(%s) AND status <> 'cancelled'", [slots]
        ).fetchone()
    return row[0] if row else 0, loading.doubles(cluster.url("postgres"))


def _between(samples: list[Sample], begin: float, end: float) -> Latency:
    return Latency.of(sample.latency_ms for sample in samples if begin <= sample.due < end and sample.status in SUCCESS)


def _p95(times: Iterable[float]) -> float:
    return percentile(sorted(times), 0.95)
