"""The API killed at every point of every writing use case, then started again and asked again.

Nobody lists the points: each deed is asked for again and again, and the process dies one point later each time, until
one lives to answer (SQLite's way of testing out-of-memory and I/O errors).
"""

import asyncio
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from app.db import embedded, migrate
from tests.failure import deeds
from tests.failure.nursery import NEVER, Nursery
from tests.failure.story import Calm, Make, Story, World
from tests.proof import checker
from tests.proof.figures import Figure, Scenario, at_least, none, told
from tests.proof.town import Town
from tests.proof.wire import Answer, Ask, Dropped, Line, Refused

LANES = 2
DEFINITE_S_MAX = 20.0


@dataclass
class Found:
    where: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    heard: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)


def crashes(*, makes: Sequence[Make], points_min: int, url: str | None = None) -> list[Figure]:
    """Before and after every statement, every COMMIT and each part of the answer of these deeds."""
    if url is None:
        with tempfile.TemporaryDirectory() as home, embedded.attach(Path(home, "postgres")) as database:
            migrate.upgrade(database.url("telemed_owner"), app_role="telemed_app")
            return crashes(makes=makes, points_min=points_min, url=database.url("telemed_owner"))
    with tempfile.TemporaryDirectory() as home, Nursery(Path(home), url) as nursery:
        return asyncio.run(_run(nursery, url, makes, points_min))


async def _run(nursery: Nursery, url: str, makes: Sequence[Make], points_min: int) -> list[Figure]:
    found, waiting = Found(), iter(makes)
    calm_port = nursery.new_port()
    await nursery.start(calm_port)
    worlds = [World(Town(url), _asker(calm_port)) for _ in range(LANES)]
    await asyncio.gather(*(_work(nursery, world, waiting, found) for world in worlds))
    violations = [figure for world in worlds for figure in checker.violations(world.town) if not figure.is_met]
    return [
        *_figures(found, makes, points_min),
        none("things that must not be in the tables", len(violations)),
        *violations,
    ]


def _asker(port: int) -> Calm:
    async def ask(ask: Ask) -> Answer:
        line = Line(port)
        try:
            return await line.ask(ask)
        finally:
            line.close()

    return ask


async def _work(nursery: Nursery, world: World, waiting: Iterator[Make], found: Found) -> None:
    for make in waiting:
        point = 0
        while await _dies_at(nursery, world, make, point, found):
            point += 1


async def _dies_at(nursery: Nursery, world: World, make: Make, point: int, found: Found) -> bool:
    """Whether there is such a point. Then: it died, it was started again, and everything is as it must be."""
    deed = await make(world)
    story, port = Story(deed), nursery.new_port()
    doomed = await nursery.start(port, point=point)

    async def way(ask: Ask) -> Answer | None:
        with suppress(Refused, Dropped):
            return await _asker(port)(ask)
        return None

    first = await story.ask(way)
    is_dead = await _is_dead(port)
    nursery.kill(doomed)
    if not is_dead:
        return False
    again = await nursery.start(port, point=NEVER)
    await story.ask_until_definite(way, within_s=DEFINITE_S_MAX)
    nursery.kill(again)
    name = make.__name__
    found.where[name].append(nursery.last_words(doomed))
    found.heard["nothing" if first is None else str(first.status)] += 1
    if odd := story.broken(world):
        found.broken.append(f"{name}, point {point}: {', '.join(odd)}")
    return True


async def _is_dead(port: int) -> bool:
    """Nobody listens any more. What dies after its answer was heard does so at once, but not at the same instant."""
    for _ in range(3):
        with suppress(Refused, Dropped):
            line = await Line(port).open()
            await line.ask(Ask("GET", "/health/live"))
            line.close()
            return False
    return True


def _figures(found: Found, makes: Sequence[Make], points_min: int) -> list[Figure]:
    for name, where in found.where.items():
        print(f"  {name}: {len(where)} points: {' · '.join(where)}")
    print(*found.broken, sep="\n")
    points = sum(len(where) for where in found.where.values())
    return [
        at_least(f"points of {len(makes)} use cases at which the API died", points, points_min),
        none("use cases without a point", len(makes) - len(found.where)),
        told(f"heard of the one that died {dict(found.heard)}", found.heard.total()),
        none("lost, doubled, changed or refused after the restart", len(found.broken)),
    ]


CRASHES = Scenario(
    "crashes",
    crashes,
    short={"makes": (deeds.book, deeds.refresh), "points_min": 18},
    full={"makes": deeds.ALL, "points_min": 180},
)
