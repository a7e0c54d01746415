"""A thousand connections, held for a minute: no errors, no leak, memory that stays."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg

from app.bench.bound import Bound, none
from app.bench.generator import Generator
from app.bench.latency import Latency
from app.bench.measuring import SUCCESS, Bench, closed_loop, errors, statuses
from app.bench.requests import Request
from app.bench.server import Cluster, Running, memory_mb, open_files
from app.bench.traffic import Traffic

MEMORY_MB_MAX = 250
# A slot that is taken, and a client that shall come back: both are answers.
EXPECTED = frozenset({409, 429})
# A connection that was closed here is closed there a moment later.
CLOSED_WITHIN_S = 5.0
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Held:
    """What the server holds at one moment: files and sockets of all workers, connections to PostgreSQL."""

    files: int
    database_connections: int


@dataclass(frozen=True, slots=True)
class HoldResult:
    """`leaked` are files and sockets that stayed, apart from connections to PostgreSQL, which a pool keeps."""

    connections: int
    seconds: float
    per_second: float
    latency: Latency
    statuses: dict[str, int]
    errors: int
    reconnects: int
    memory_mb_before: list[float]
    memory_mb: list[float]
    before: Held
    during: Held
    after: Held
    leaked: int
    generator_share: float


def measure(bench: Bench) -> HoldResult:
    """Half bookings, half searches; who is told `Retry-After` rests."""
    scale = bench.scale
    with bench.serve() as server:
        bench.tell("hold: warming up")
        for operation in ("bookings", "searches"):
            closed_loop(bench, server, operation, connections=32, seconds=scale.warm_up_s)
        before = _settled(bench.cluster, server, at_most=None)
        memory_before = [round(memory_mb(pid), 1) for pid in server.pids()]
        bench.tell(f"hold: {scale.hold_connections:,} connections for {scale.hold_s:.0f} s")
        with Generator(server.port, connections=scale.hold_connections) as generator:
            run = generator.closed_loop(_endlessly(bench.traffic), seconds=scale.hold_s)
            memory = [round(memory_mb(pid), 1) for pid in server.pids()]
            during = _held(bench.cluster, server)
        after = _settled(bench.cluster, server, at_most=before)
    return HoldResult(
        connections=scale.hold_connections,
        seconds=round(run.seconds, 1),
        per_second=round(sum(sample.status in SUCCESS for sample in run.samples) / run.seconds, 1),
        latency=Latency.of(sample.latency_ms for sample in run.samples if sample.status in SUCCESS),
        statuses=statuses(run.samples),
        errors=errors(run.samples, EXPECTED),
        reconnects=run.reconnects,
        memory_mb_before=memory_before,
        memory_mb=memory,
        before=before,
        during=during,
        after=after,
        leaked=_leaked(before, after),
        generator_share=round(run.cpu_seconds / run.drained_s, 3),
    )


def bounds(result: HoldResult) -> list[Bound]:
    """No errors, memory, no leak."""
    held = f"{result.connections:,} connections for {result.seconds:.0f} s"
    return [
        none("hold", f"{held}: answers other than 2xx, 409, 429", result.errors),
        Bound("hold", "memory of the largest worker at the end", max(result.memory_mb), "≤", MEMORY_MB_MAX, "MB"),
        Bound("hold", "files and sockets of the workers that stayed open", result.leaked, "≤", 0, is_timed=False),
    ]


def _endlessly(traffic: Traffic) -> Iterator[Request]:
    while True:
        yield from traffic.bookings(1)
        yield from traffic.searches(1)


def _held(cluster: Cluster, server: Running) -> Held:
    with psycopg.connect(cluster.url("postgres")) as connection:
        row = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'telemed'").fetchone()
    return Held(sum(open_files(pid) for pid in server.pids()), row[0] if row else 0)


def _settled(cluster: Cluster, server: Running, *, at_most: Held | None) -> Held:
    """What is held once closed connections are closed on both sides: no more than before, or after a while anyhow."""
    deadline = time.monotonic() + CLOSED_WITHIN_S
    found = _held(cluster, server)
    while time.monotonic() < deadline:
        time.sleep(_POLL_S)
        found, last = _held(cluster, server), found
        if (found == last) if at_most is None else (_leaked(at_most, found) <= 0):
            break
    return found


def _leaked(before: Held, after: Held) -> int:
    return (after.files - before.files) - (after.database_connections - before.database_connections)
