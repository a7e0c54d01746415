"""The wire to PostgreSQL broken at every message of a request, in every way that wires break.

The points are not chosen: a clean run is recorded, and each message of it, in both directions, is one.
"""

import asyncio
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from app.db import embedded, migrate
from tests.failure import deeds, house
from tests.failure.house import House
from tests.failure.protocol import Message
from tests.failure.story import Make, Story
from tests.failure.wire import BLACKHOLE, CUT, RESET, TORN
from tests.proof import checker
from tests.proof.figures import Figure, Scenario, at_most, exactly, none, told

WAYS = (CUT, RESET, BLACKHOLE, TORN)
DEEDS = (*deeds.KEYED, deeds.cancel, *deeds.TRANSACTIONS)
HOUSES = 6
# 2 s for the list of revocations, 1 s in a queue that stands still and 1 s for an answer, both twice for a read.
ANSWER_S_MAX = 6.5
# Somebody who asks again and again: what a black hole holds is let go after 0.6 s, and found out after 1 s.
DEFINITE_S_MAX = 20.0
TRIES_MAX = 10
# The conversation before the first statement is not the request's, but the request waits for it.
STARTUP = "(startup)"


@dataclass(frozen=True, slots=True)
class Point:
    """One message of one deed, and what happens there."""

    make: Make
    at: int
    message: str
    how: str
    in_startup: bool

    def __str__(self) -> str:
        where = STARTUP if self.in_startup else self.make.__name__
        return f"{self.how} at message {self.at} of {where} ({self.message})"


@dataclass
class Found:
    """What came of all points."""

    first: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    not_reached: list[Point] = field(default_factory=list)
    longest_s: float = 0.0
    points: Counter[str] = field(default_factory=Counter)
    messages: dict[str, int] = field(default_factory=dict)


def cuts(*, ways: Sequence[str], every: int, url: str | None = None) -> list[Figure]:
    """One of `every` messages of each deed, broken in these ways."""
    if url is None:
        with tempfile.TemporaryDirectory() as home, embedded.attach(Path(home, "postgres")) as database:
            migrate.upgrade(database.url("telemed_owner"), app_role="telemed_app")
            return cuts(ways=ways, every=every, url=database.url("telemed_owner"))
    with house.impatient():
        return asyncio.run(_run(url, ways, every))


async def _run(url: str, ways: Sequence[str], every: int) -> list[Figure]:
    found = Found()
    async with AsyncExitStack() as stack:
        houses = [await stack.enter_async_context(house.opened(url)) for _ in range(HOUSES)]
        points = [point for make in DEEDS for point in _some(await _points(houses[0], make, ways, found), every)]
        points += _some(await _points(houses[0], deeds.book, ways, found, in_startup=True), every)
        waiting = iter(points)
        await asyncio.gather(*(_work(at, waiting, found) for at in houses))
        violations = [figure for at in houses for figure in checker.violations(at.world.town) if not figure.is_met]
    return [*_figures(found, points), none("things that must not be in the tables", len(violations)), *violations]


def _some(points: list[Point], every: int) -> list[Point]:
    """Each way at one of `every` messages; which, differs from way to way."""
    return [point for number, point in enumerate(points) if (point.at + number % len(WAYS)) % every == 0]


async def _points(at: House, make: Make, ways: Sequence[str], found: Found, *, in_startup: bool = False) -> list[Point]:
    """Every message of a clean run."""
    recorded = await _recorded(at, make)
    matches = house.of_the_startup if in_startup else house.of_a_request
    messages = _of_one_link(recorded) if in_startup else [message for message in recorded if matches(message)]
    found.messages[STARTUP if in_startup else make.__name__] = len(messages)
    return [
        Point(make, number, str(message), how, in_startup) for number, message in enumerate(messages) for how in ways
    ]


async def _recorded(at: House, make: Make) -> list[Message]:
    while True:
        deed = await make(at.world)
        at.wire.recorded = recorded = []
        await at.with_fresh_connections()
        answer = await at.world.calm(deed.ask)
        at.wire.recorded = None
        if answer.status in deed.done:
            return recorded


def _of_one_link(recorded: list[Message]) -> list[Message]:
    links: dict[int, list[Message]] = defaultdict(list)
    for message in filter(house.of_the_startup, recorded):
        links[message.link].append(message)
    return max(links.values(), key=len)


async def _work(at: House, points: Iterator[Point], found: Found) -> None:
    for point in points:
        # The pool may be busy with its own repairs, or the machine with other things for longer than our short
        # time-outs allow: then the request ended before it came to this message.
        for _ in range(TRIES_MAX):
            if await _try(at, point, found):
                break
        else:
            found.not_reached.append(point)


async def _try(at: House, point: Point, found: Found) -> bool:
    deed = await point.make(at.world)
    await at.with_fresh_connections()
    at.wire.fault = fault = house.fault(point.at, point.how, in_startup=point.in_startup)
    story = Story(deed)
    first = await story.ask(at.ask)
    was_reached = fault.is_done
    at.wire.fault = None
    if not await at.knows_transaction_timeout():
        # From here on as if the kernel had told PostgreSQL 15 that nobody is there any more.
        at.wire.heal()
    # Else the server's side of a black hole stays open all the while, and so does what the connection holds there.
    await story.ask_until_definite(at.ask, within_s=DEFINITE_S_MAX)
    at.wire.heal()
    if not was_reached and not point.in_startup:
        return False
    assert first is not None
    found.first[str(first.status)] += 1
    found.points[point.how] += 1
    found.longest_s = max(found.longest_s, *story.waits_s)
    odd = story.broken(at.world)
    if odd:
        found.broken.append(f"{point}: {', '.join(odd)}")
    return True


def _figures(found: Found, points: list[Point]) -> list[Figure]:
    print(*(f"  {messages:>3} messages of {name}" for name, messages in found.messages.items()), sep="\n")
    print(*found.broken, sep="\n")
    print(*(f"not reached: {point}" for point in found.not_reached), sep="\n")
    return [
        exactly(f"messages at which the wire broke {dict(found.points)}", found.points.total(), len(points)),
        told(f"first answers {dict(found.first)}", found.first.total()),
        none("answers of 500", found.first["500"]),
        none("answered otherwise than right or 503, lost, doubled or changed", len(found.broken)),
        at_most("longest wait for an answer", found.longest_s, ANSWER_S_MAX, "s"),
    ]


CUTS = Scenario("cuts", cuts, short={"ways": WAYS, "every": 36}, full={"ways": WAYS, "every": 1})
