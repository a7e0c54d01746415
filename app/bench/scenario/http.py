"""The same operations over HTTP: latency and rate by connections, and by what is offered."""

from dataclasses import dataclass

from app.bench.bound import Bound, none
from app.bench.measuring import Bench, Measured, closed_loop, open_loop
from app.bench.server import Bare

# On a machine whose empty application answers 7,000 a second, 1,200 pages a second are asked for.
PAGES_PER_BARE = 1_200 / 7_000
COMPARED_AT = 32
OPEN_CONNECTIONS = 256


@dataclass(frozen=True, slots=True)
class HttpResult:
    """Closed loops by connections, open loops by rate, and what the machine does with an empty application."""

    bookings: list[Measured]
    searches: list[Measured]
    open_bookings: list[Measured]
    open_searches: list[Measured]
    live: Measured
    bare: Measured


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
    bench.tell("http: an empty application")
    with Bare(bench.folder, workers=bench.workers) as server:
        bare = closed_loop(bench, server, "bare", connections=compared, seconds=scale.seconds, spends=False)
    return HttpResult(closed["bookings"], closed["searches"], opened["bookings"], opened["searches"], live, bare)


def bounds(result: HttpResult) -> list[Bound]:
    """Pages for each answer of the empty application; and no answer that nobody expects."""
    compared = next((one for one in result.searches if one.connections == COMPARED_AT), result.searches[-1])
    everything = [*result.bookings, *result.searches, *result.open_bookings, *result.open_searches]
    return [
        Bound(
            "http",
            f"pages a second, {compared.connections} connections (empty application × 0.171)",
            compared.per_second,
            "≥",
            round(PAGES_PER_BARE * result.bare.per_second, 1),
            "/s",
        ),
        none("http", "answers other than 2xx, 429, 503", sum(one.errors for one in everything)),
    ]
