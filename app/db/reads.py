"""The reads of one moment, in one flight, and one flight at a time.

Alone, each pays for a connection, a write, a wait, and a process of PostgreSQL's that wakes up; together they pay once
(docs/decisions/0023, docs/decisions/0028). Whoever reads sees no difference: each gets its own rows or its own error.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.db.asker import Asker
from app.db.errors import ConnectionLost, LockTimeout
from app.db.flight import Answer
from app.db.joined import spawn
from app.db.lane import Lane
from app.db.statement import Statement
from app.kit.errors import Unavailable
from app.observability import context

# A read takes 5 s at the very most (`statement_timeout`), and those behind it wait: few share that fate.
TOGETHER_MAX = 16


@dataclass(slots=True)
class Read:
    """One read on its way."""

    asker: Asker
    statement: Statement[Any]
    values: Mapping[str, Any]
    future: "asyncio.Future[Answer | None]"
    # If it goes by itself: what it leaves the lane with.
    ticket: object | None = None


# What each finds, up to the first that fails.
Run = Callable[[Sequence[Read]], Awaitable[Sequence[Answer | Exception]]]
RunAlone = Callable[[Read], Awaitable[Answer]]


class Reads:
    """Collects what is asked in one turn of the loop, or while a flight is in the air."""

    def __init__(self, run: Run, run_alone: RunAlone) -> None:
        self._run = run
        self._run_alone = run_alone
        self._waiting: deque[Read] = deque()
        self._flying: set[asyncio.Task[None]] = set()
        # While PostgreSQL works on one flight, we fill the next. With more, each would carry few.
        self._lane = Lane(self._start, late=self._disperse)

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
            if read.ticket is not None:
                self._lane.leave(read.ticket)
        # The flight of several is nobody's own.
        context.count_statement()
        return answer

    async def close(self) -> None:
        """Wait for what is on its way."""
        while self._flying:
            await asyncio.wait(self._flying)

    def _start(self) -> None:
        while self._waiting and self._lane.is_free:
            next_ones = [self._waiting.popleft() for _ in range(min(TOGETHER_MAX, len(self._waiting)))]
            taken = [read for read in next_ones if not _has_left(read)]
            if len(taken) == 1:
                # It goes by itself, without a task for company that there is not.
                taken[0].ticket = self._lane.enter()
                _settle(taken[0], None)
            elif taken:
                spawn(self._fly(taken, self._lane.enter()), self._flying)

    def _disperse(self) -> None:
        """The flight ahead is late, and who asks the same would be late with it: nobody else goes in their flight."""
        alike: defaultdict[Statement[Any], list[Read]] = defaultdict(list)
        while self._waiting:
            read = self._waiting.popleft()
            alike[read.statement].append(read)
        for reads in alike.values():
            for first in range(0, len(reads), TOGETHER_MAX):
                spawn(self._fly(reads[first : first + TOGETHER_MAX]), self._flying)

    async def _fly(self, reads: Sequence[Read], ticket: object | None = None) -> None:
        # What is nobody's goes first: in their one transaction PostgreSQL knows whoever it was told of last.
        reads = sorted(reads, key=lambda read: read.statement.is_personal)
        try:
            outcomes = await self._run(reads)
        except Exception as error:  # noqa: BLE001 - handed to whoever reads
            # Of several one cannot even be sent, or the database is away.
            outcomes = [error] * len(reads) if len(reads) == 1 or isinstance(error, Unavailable) else []
        finally:
            # The next flight sets out before these are told: PostgreSQL works on it meanwhile.
            if ticket is not None:
                self._lane.leave(ticket)
        for read, outcome in zip(reads, outcomes, strict=False):
            _settle(read, outcome)
        for read in reads[len(outcomes) :]:
            if outcomes and _is_for_both(outcomes[-1], reads[len(outcomes) - 1], read):
                _settle(read, outcomes[-1])
            else:
                # Nobody pays for a neighbour.
                spawn(self._fly([read]), self._flying)


def _is_for_both(outcome: Answer | Exception, failed: Read, behind: Read) -> bool:
    """Whether the failure of one is the answer to another behind it: that would wait for the same lock again."""
    is_alike = failed.statement is behind.statement
    return isinstance(outcome, ConnectionLost) or (isinstance(outcome, LockTimeout) and is_alike)


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
