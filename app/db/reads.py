"""The reads of one moment, in one flight.

Alone, each pays for a connection, a write, a wait, and a process of PostgreSQL's that wakes up; together they pay once
(docs/decisions/0023). Whoever reads sees no difference: each gets its own rows or its own error.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.db.asker import Asker
from app.db.flight import Answer
from app.db.joined import spawn
from app.db.statement import Statement
from app.kit.errors import Unavailable

# A read takes 5 s at the very most (`statement_timeout`), and those behind it wait: few share that fate.
TOGETHER_MAX = 8


@dataclass(slots=True)
class Read:
    """One read on its way."""

    asker: Asker
    statement: Statement[Any]
    values: Mapping[str, Any]
    future: "asyncio.Future[Answer | None]"


Run = Callable[[Sequence[Read]], Awaitable[Sequence[Answer | Exception]]]


class Reads:
    """Collects what is asked in one turn of the loop; nobody waits to be joined."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._waiting: deque[Read] = deque()
        self._flying: set[asyncio.Task[None]] = set()

    async def answer(self, asker: Asker, statement: Statement[Any], values: Mapping[str, Any]) -> Answer | None:
        """What the statement finds, or `None` if nobody else reads at this moment. Raises as `run` tells."""
        loop = asyncio.get_running_loop()
        read = Read(asker, statement, values, loop.create_future())
        if not self._waiting:
            # At the end of this turn of the loop, so that whoever arrives in the same turn comes along.
            loop.call_soon(self._start)
        self._waiting.append(read)
        return await read.future

    async def close(self) -> None:
        """Wait for what is on its way."""
        while self._flying:
            await asyncio.wait(self._flying)

    def _start(self) -> None:
        if len(self._waiting) == 1:
            # It goes by itself, without a task for company that there is not.
            _settle(self._waiting.popleft(), None)
        while self._waiting:
            taken = [self._waiting.popleft() for _ in range(min(TOGETHER_MAX, len(self._waiting)))]
            spawn(self._fly(taken), self._flying)

    async def _fly(self, reads: Sequence[Read]) -> None:
        try:
            outcomes = await self._run(reads)
        except Exception as error:  # noqa: BLE001 - handed to whoever reads
            if len(reads) > 1 and not isinstance(error, Unavailable):
                # One of them cannot even be sent. Nobody pays for a neighbour.
                for read in reads:
                    spawn(self._fly([read]), self._flying)
                return
            outcomes = [error] * len(reads)
        for read, outcome in zip(reads, outcomes, strict=True):
            _settle(read, outcome)


def _settle(read: Read, outcome: Answer | Exception | None) -> None:
    if read.future.done():
        # Its client has left.
        return
    if isinstance(outcome, Exception):
        read.future.set_exception(outcome)
    else:
        read.future.set_result(outcome)
