"""The reads of one moment, in one flight, and two flights at a time.

Alone, each pays for a connection, a write, a wait, and a process of PostgreSQL's that wakes up; together they pay once
(docs/decisions/0023, docs/decisions/0027). Whoever reads sees no difference: each gets its own rows or its own error.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.db.asker import Asker
from app.db.flight import Answer
from app.db.joined import spawn
from app.db.statement import Statement
from app.kit.errors import Unavailable
from app.observability import context

# A read takes 5 s at the very most (`statement_timeout`), and those behind it wait: few share that fate.
TOGETHER_MAX = 16
# While PostgreSQL works on one flight, we fill the next. With as many as there are moments, each would carry few.
AT_ONCE = 2
# What takes longer does not keep the others on the ground, nor does its like take them along.
IN_THE_WAY_S = 0.1


@dataclass(slots=True)
class Read:
    """One read on its way."""

    asker: Asker
    statement: Statement[Any]
    values: Mapping[str, Any]
    future: "asyncio.Future[Answer | None]"
    # If it goes by itself: its flight.
    flight: object | None = None


Run = Callable[[Sequence[Read]], Awaitable[Sequence[Answer | Exception]]]
RunAlone = Callable[[Read], Awaitable[Answer]]


class Reads:
    """Collects what is asked in one turn of the loop, or while two flights are in the air."""

    def __init__(self, run: Run, run_alone: RunAlone) -> None:
        self._run = run
        self._run_alone = run_alone
        self._waiting: deque[Read] = deque()
        self._flying: set[asyncio.Task[None]] = set()
        self._in_the_way: set[object] = set()

    async def answer(self, asker: Asker, statement: Statement[Any], values: Mapping[str, Any]) -> Answer:
        """What the statement finds. Raises as `run` tells, and as `run_alone` does."""
        loop = asyncio.get_running_loop()
        read = Read(asker, statement, values, loop.create_future())
        if not self._waiting:
            # At the end of this turn of the loop, so that whoever arrives in the same turn comes along.
            loop.call_soon(self._start)
        self._waiting.append(read)
        try:
            answer = await read.future
            if answer is None:
                return await self._run_alone(read)
        finally:
            if read.flight is not None:
                self._make_way(read.flight)
        # The flight of several is nobody's own.
        context.count_statement()
        return answer

    async def close(self) -> None:
        """Wait for what is on its way."""
        while self._flying:
            await asyncio.wait(self._flying)

    def _start(self) -> None:
        while self._waiting and len(self._in_the_way) < AT_ONCE:
            next_ones = [self._waiting.popleft() for _ in range(min(TOGETHER_MAX, len(self._waiting)))]
            taken = [read for read in next_ones if not _has_left(read)]
            if len(taken) == 1:
                # It goes by itself, without a task for company that there is not.
                taken[0].flight = self._take_off()
                _settle(taken[0], None)
            elif taken:
                spawn(self._fly(taken, self._take_off()), self._flying)

    def _take_off(self) -> object:
        flight = object()
        self._in_the_way.add(flight)
        asyncio.get_running_loop().call_later(IN_THE_WAY_S, self._look_after, flight)
        return flight

    def _look_after(self, flight: object) -> None:
        if flight in self._in_the_way:
            # It is late, and who asks the same would be late with it: nobody else goes in their flight.
            alike: defaultdict[Statement[Any], list[Read]] = defaultdict(list)
            while self._waiting:
                read = self._waiting.popleft()
                alike[read.statement].append(read)
            for reads in alike.values():
                for first in range(0, len(reads), TOGETHER_MAX):
                    spawn(self._answer_each(reads[first : first + TOGETHER_MAX]), self._flying)
            self._make_way(flight)

    def _make_way(self, flight: object) -> None:
        self._in_the_way.discard(flight)
        self._start()

    async def _fly(self, reads: Sequence[Read], flight: object) -> None:
        try:
            await self._answer_each(reads)
        finally:
            self._make_way(flight)

    async def _answer_each(self, reads: Sequence[Read]) -> None:
        try:
            outcomes = await self._run(reads)
        except Exception as error:  # noqa: BLE001 - handed to whoever reads
            if len(reads) > 1 and not isinstance(error, Unavailable):
                # One of them cannot even be sent. Nobody pays for a neighbour.
                for read in reads:
                    spawn(self._answer_each([read]), self._flying)
                return
            outcomes = [error] * len(reads)
        for read, outcome in zip(reads, outcomes, strict=True):
            _settle(read, outcome)


def _settle(read: Read, outcome: Answer | Exception | None) -> None:
    if _has_left(read):
        return
    if isinstance(outcome, Exception):
        read.future.set_exception(outcome)
    else:
        read.future.set_result(outcome)


def _has_left(read: Read) -> bool:
    # Whoever waited was cancelled: nobody else settles a read.
    return read.future.done()
