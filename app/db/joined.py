"""The concurrent calls of one process, made into one statement.

Alone, each call pays for a plan check, an executor, a COMMIT and a round trip; sixteen together pay once
(docs/decisions/0010). Whoever calls sees no difference: each gets its own row or its own error.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from app.db.lane import Lane
from app.db.statement import Statement

Row = TypeVar("Row")

# A statement that is late, and the next: a disk that stands still costs no more connections.
UNDER_WAY_MAX = 2
# Enough for all that a full house (256 requests) has ready: with 32, four times the load booked a twentieth less.
CALLS_MAX = 64

# So many go on in one turn of the loop with what was found for them: sixty-four at once kept everybody who came
# meanwhile waiting for 15 ms, also those who are only told that the house is full.
SETTLED_A_TURN = 32

Values = Mapping[str, object]
# The rows by their call's place, from 1. Alone, a call waits for locks, and is tried again, as any other statement.
Run = Callable[[Statement[Any], list[Values], bool], Awaitable[Mapping[int, list[Any]]]]


@dataclass(slots=True)
class _Call(Generic[Row]):
    values: Values
    future: "asyncio.Future[list[Row]]"


class Joined(Generic[Row]):
    """The calls of one statement that wait to be run together.

    After an error each call is run alone, so that nobody pays for a neighbour, and nobody waits behind it. `is_final`
    tells, of an error and a number of calls, whether it is the answer to all of them.
    """

    def __init__(self, statement: Statement[Row], run: Run, *, is_final: Callable[[Exception, int], bool]) -> None:
        self._statement = statement
        self._run = run
        self._is_final = is_final
        self._waiting: deque[_Call[Row]] = deque()
        # While PostgreSQL works on one statement, we fill the next. With more, each would carry fewer calls.
        self._lane = Lane(self._start, most=UNDER_WAY_MAX)
        self._together: set[asyncio.Task[None]] = set()
        self._alone: set[asyncio.Task[None]] = set()
        # Halved by a failure, one more after a success: where constraints refuse often, few travel together.
        self._most = CALLS_MAX

    async def call(self, values: Values) -> list[Row]:
        """This call's rows."""
        loop = asyncio.get_running_loop()
        call: _Call[Row] = _Call(values, loop.create_future())
        if not self._waiting:
            # At the end of this turn of the loop, so that whoever arrives in the same turn comes along.
            loop.call_soon(self._start)
        self._waiting.append(call)
        return await call.future

    @property
    def is_busy(self) -> bool:
        """Whether a call waits or is on its way."""
        return bool(self._waiting or self._together or self._alone)

    async def close(self) -> None:
        """Wait for what is on its way."""
        while running := self._together | self._alone:
            await asyncio.wait(running)

    def _start(self) -> None:
        if self._waiting and self._lane.is_free:
            spawn(self._work_together(self._take(), self._lane.enter()), self._together)

    def _take(self) -> list[_Call[Row]]:
        """The longest waiting, but no two that would meet each other in the statement."""
        together = self._statement.together
        assert together is not None, "a statement for several calls"
        if not together.apart_by:
            return [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
        taken: dict[tuple[object, ...], _Call[Row]] = {}
        left: list[_Call[Row]] = []
        while self._waiting and len(taken) < self._most:
            call = self._waiting.popleft()
            identity = tuple(call.values[name] for name in together.apart_by)
            if identity in taken:
                left.append(call)
            else:
                taken[identity] = call
        self._waiting.extendleft(reversed(left))
        return list(taken.values())

    async def _work_together(self, calls: list[_Call[Row]], ticket: object) -> None:
        try:
            try:
                rows = await self._run(self._statement, [call.values for call in calls], False)
            finally:
                # The next statement goes before these are answered: PostgreSQL works on it meanwhile.
                self._lane.leave(ticket)
        except Exception as error:  # noqa: BLE001 - handed to whoever called
            if self._is_final(error, len(calls)):
                for call in calls:
                    _refuse(call, error)
                return
            self._most = max(1, self._most // 2)
            for call in calls:
                spawn(self._work_alone(call), self._alone)
        else:
            self._most = min(CALLS_MAX, self._most + 1)
            self._settle_by_turns(deque((call, rows.get(place, [])) for place, call in enumerate(calls, start=1)))

    def _settle_by_turns(self, found: deque[tuple[_Call[Row], list[Row]]]) -> None:
        for _ in range(min(SETTLED_A_TURN, len(found))):
            _settle(*found.popleft())
        if found:
            asyncio.get_running_loop().call_soon(self._settle_by_turns, found)

    async def _work_alone(self, call: _Call[Row]) -> None:
        try:
            rows = await self._run(self._statement, [call.values], True)
        except Exception as error:  # noqa: BLE001 - handed to whoever called
            _refuse(call, error)
        else:
            _settle(call, rows.get(1, []))


def spawn(work: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]) -> asyncio.Task[None]:
    """Start `work` with a context of its own: it works for several requests, so it is none of them."""
    task = asyncio.get_running_loop().create_task(work, context=Context())
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return task


def _settle(call: _Call[Row], rows: list[Row]) -> None:
    # If its client has left, what was done for it stays done.
    if not call.future.done():
        call.future.set_result(rows)


def _refuse(call: _Call[Any], error: Exception) -> None:
    if not call.future.done():
        call.future.set_exception(error)
