"""What PostgreSQL alone can do: pgbench with the very statements."""

from dataclasses import dataclass

from app.bench import limit
from app.bench.bound import Bound
from app.bench.limit import Limit
from app.bench.measuring import Bench


@dataclass(frozen=True, slots=True)
class LimitResult:
    """By the number of clients, one after the other."""

    bookings: list[Limit]
    searches: list[Limit]


def measure(bench: Bench) -> LimitResult:
    """Bookings and searches at each number of clients."""
    seconds = bench.scale.seconds
    booked = []
    for clients in bench.scale.clients:
        bench.tell(f"pgbench: bookings, {clients} clients")
        booked.append(book(bench, clients=clients, seconds=seconds))
    searched = []
    for clients in bench.scale.clients:
        bench.tell(f"pgbench: searches, {clients} clients")
        searched.append(limit.searches(bench.cluster, bench.town, clients=clients, seconds=seconds))
    return LimitResult(booked, searched)


def book(bench: Bench, *, clients: int, seconds: float) -> Limit:
    """One run of pgbench with bookings. Its clients take turns unevenly, so that some of its wishes stay unused."""
    reached = limit.bookings(bench.cluster, bench.town, clients=clients, seconds=seconds, first=bench.traffic.next_wish)
    bench.traffic.take_fresh(int(reached.per_second * seconds * 1.2) + 500)
    return reached


def bounds(_: LimitResult) -> list[Bound]:
    """None: it is what others are held against."""
    return []
