"""The same operations over HTTP: latency and rate by connections, and by what is offered."""

from dataclasses import dataclass
from statistics import median

from app.bench.bound import Bound, none
from app.bench.measuring import Bench, Measured, closed_loop, open_loop
from app.bench.server import Bare, Running

# On a machine whose empty application answers 7,000 a second, 1,200 pages a second are asked for.
PAGES_PER_BARE = 1_200 / 7_000
COMPARED_AT = 32
OPEN_CONNECTIONS = 256


@dataclass(frozen=True, slots=True)
class Turn:
    """Pages, and directly after them an application that does nothing."""

    pages_per_second: float
    bare_per_second: float
    share: float


@dataclass(frozen=True, slots=True)
class HttpResult:
    """Closed loops by connections, open loops by rate, and what the machine does with an empty application."""

    bookings: list[Measured]
    searches: list[Measured]
    open_bookings: list[Measured]
    open_searches: list[Measured]
    live: Measured
    turns: list[Turn]
    # The median of the turns.
    pages_per_bare: float


def measure(bench: Bench) -> HttpResult:
    """Every number of connections, then shares of the best rate, then the bare endpoints."""
    scale = bench.scale
    compared = min(COMPARED_AT, max(scale.connections))
    with bench.serve() as server:
        for operation in ("bookings", "searches"):
            bench.tell("http: warming up")
            closed_loop(bench, server, operation, connections=compared, seconds=scale.warm_up_s)
        closed: dict[str, list[Measured]] = {"bookings": [], "searches": []}
        opened: dict[str, list[Measured]] = {"bookings": [], "searches": []}
        for operation, found in closed.items():
            for connections in scale.connections:
                bench.tell(f"http: {operation}, {connections} connections")
                found.append(closed_loop(bench, server, operation, connections=connections, seconds=scale.seconds))
        for operation, found in opened.items():
            peak = max(one.per_second for one in closed[operation])
            for share in scale.open_shares:
                bench.tell(f"http: {operation}, {share:.0%} of the peak")
                connections = min(OPEN_CONNECTIONS, max(scale.connections))
                found.append(
                    open_loop(
                        bench,
                        server,
                        operation,
                        connections=connections,
                        seconds=scale.seconds,
                        per_second=share * peak,
                    )
                )
        bench.tell("http: /health/live")
        live = closed_loop(bench, server, "live", connections=compared, seconds=scale.seconds, spends=False)
        turns = _turns(bench, server, connections=compared)
    share = round(median(turn.share for turn in turns), 3)
    return HttpResult(
        closed["bookings"], closed["searches"], opened["bookings"], opened["searches"], live, turns, share
    )


def _turns(bench: Bench, server: Running, *, connections: int) -> list[Turn]:
    found = []
    with Bare(bench.folder, workers=bench.workers) as empty:
        for number in range(bench.scale.search_pairs):
            bench.tell(f"http: pages and an empty application, turn {number + 1}")
            pages, bare = (
                closed_loop(
                    bench, one, operation, connections=connections, seconds=bench.scale.pair_s, spends=one is server
                ).per_second
                for one, operation in ((server, "searches"), (empty, "bare"))
            )
            found.append(Turn(pages, bare, round(pages / bare, 3)))
    return found


def bounds(result: HttpResult) -> list[Bound]:
    """Pages for each answer of the empty application; and no answer that nobody expects."""
    everything = [*result.bookings, *result.searches, *result.open_bookings, *result.open_searches]
    return [
        Bound(
            "http",
            f"pages for each answer of an empty application, median of {len(result.turns)} turns",
            result.pages_per_bare,
            "≥",
            round(PAGES_PER_BARE, 3),
        ),
        none("http", "answers other than 2xx, 429, 503", sum(one.errors for one in everything)),
    ]
