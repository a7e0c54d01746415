"""HTTP and pgbench in turns, so that both halves of a ratio saw the same machine."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from app.bench import limit
from app.bench.bound import Bound, none
from app.bench.limit import Limit
from app.bench.measuring import Bench, Measured, closed_loop
from app.bench.scenario.limit import book
from app.bench.server import Running

CONNECTIONS = 32
BOOKINGS_RATIO_MIN = 0.25


@dataclass(frozen=True, slots=True)
class Pair:
    """One turn each."""

    http: Measured
    limit: Limit
    ratio: float


@dataclass(frozen=True, slots=True)
class PairsResult:
    """All pairs, and the median of their ratios."""

    bookings: list[Pair]
    searches: list[Pair]
    bookings_ratio: float
    searches_ratio: float


def measure(bench: Bench) -> PairsResult:
    """Pairs of bookings, then of searches."""
    scale = bench.scale
    with bench.serve() as server:
        for operation in ("bookings", "searches"):
            bench.tell("pairs: warming up")
            closed_loop(bench, server, operation, connections=CONNECTIONS, seconds=scale.warm_up_s)
        bookings = _pairs(
            bench,
            server,
            "bookings",
            scale.booking_pairs,
            lambda: book(bench, clients=CONNECTIONS, seconds=scale.pair_s),
        )
        searches = _pairs(
            bench,
            server,
            "searches",
            scale.search_pairs,
            lambda: limit.searches(bench.cluster, bench.town, clients=CONNECTIONS, seconds=scale.pair_s),
        )
    return PairsResult(
        bookings,
        searches,
        round(median(pair.ratio for pair in bookings), 3),
        round(median(pair.ratio for pair in searches), 3),
    )


def _pairs(bench: Bench, server: Running, operation: str, count: int, reach_limit: Callable[[], Limit]) -> list[Pair]:
    found = []
    for turn in range(count):
        bench.tell(f"pairs: {operation}, pair {turn + 1} of {count}")
        http = closed_loop(bench, server, operation, connections=CONNECTIONS, seconds=bench.scale.pair_s)
        reached = reach_limit()
        found.append(Pair(http, reached, round(http.per_second / reached.per_second, 3)))
    return found


def bounds(result: PairsResult) -> list[Bound]:
    """Bookings against the limit."""
    everything = [pair.http for pair in (*result.bookings, *result.searches)]
    return [
        Bound(
            "pairs",
            f"bookings over HTTP / pgbench, median of {len(result.bookings)} pairs",
            result.bookings_ratio,
            "≥",
            BOOKINGS_RATIO_MIN,
        ),
        none("pairs", "answers other than 2xx, 429, 503", sum(one.errors for one in everything)),
    ]
