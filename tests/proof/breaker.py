"""Whoever breaks things after certain numbers of writes: processes, wires, locks, connections."""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg

from app.db import embedded
from tests.failure.nursery import Nursery
from tests.failure.wire import BLACKHOLE, CUT, RESET, TORN, Fault, Wire
from tests.proof.writers import Writers

OWNER = "telemed_owner"
# How long somebody else may hold on to a lock or to connections.
HELD_S = (0.3, 3.0)
# The API gives up after 8 s on a wire that swallows everything.
BLACK_S = 10.0
MESSAGES_AHEAD = 200
# Messages never cease for long: a fault that nothing meets is a fault of this proof.
MET_S_MAX = 60.0


@dataclass
class Breaker:
    """Breaks things after certain numbers of writes."""

    database: embedded.Attachment
    nursery: Nursery
    wire: Wire
    writers: Writers
    replicas: dict[int, int]
    draw: random.Random
    done: Counter[str] = field(default_factory=Counter)
    # How many writes a fault came later than it was due.
    longest_lag: int = 0
    _in_the_background: set["asyncio.Task[None]"] = field(default_factory=set)

    async def run(self, counts: dict[str, int]) -> None:
        due = sorted((self.draw.random(), what) for what, count in counts.items() for _ in range(count))
        ways: dict[str, Callable[[], Awaitable[None]]] = {
            "kill -9 of an API process": self._kill_api,
            "kill -9 of PostgreSQL": self._kill_database,
            "all wires cut": self._cut_all,
            "a lock held": self._hold_locks,
            "a table held, and all connections with it": self._hold_table,
            "connections used up": self._use_up,
            **{f"a wire {how}": _bound(self._break_wire, how) for how in (CUT, RESET, TORN, BLACKHOLE)},
        }
        self.writers.faults_left = len(due)
        for share, what in due:
            while self.writers.tale.writes < share * self.writers.writes:
                await asyncio.sleep(0.005)
            behind = self.writers.tale.writes - share * self.writers.writes
            self.longest_lag = max(self.longest_lag, round(behind))
            # Nothing counts that happens while nobody writes.
            assert not self.writers.is_over, "the writers wait for the last fault"
            await ways[what]()
            self.done[what] += 1
            self.writers.faults_left -= 1
        await asyncio.gather(*self._in_the_background)

    def _aside(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._in_the_background.add(task)
        task.add_done_callback(self._in_the_background.discard)

    async def _kill_api(self) -> None:
        port = self.draw.choice(list(self.replicas))
        self.nursery.kill(self.replicas[port])
        self.replicas[port] = await self.nursery.start(port)

    async def _kill_database(self) -> None:
        os.kill(self.database.pid, signal.SIGKILL)
        await asyncio.to_thread(self.database.ensure)

    async def _cut_all(self) -> None:
        self.wire.cut_all(reset=self.draw.random() < 0.5)

    async def _break_wire(self, how: str) -> None:
        self.wire.fault = fault = Fault(self.draw.randrange(MESSAGES_AHEAD), how)
        async with asyncio.timeout(MET_S_MAX):
            while not fault.is_done:
                await asyncio.sleep(0.005)
        self.wire.fault = None
        if how == BLACKHOLE:
            self._aside(self._heal_later())

    async def _heal_later(self) -> None:
        await asyncio.sleep(BLACK_S)
        # Not heal(): it would take back the fault that is armed by now, and nothing would break any more.
        self.wire.let_go()

    async def _hold_locks(self) -> None:
        slots = [self.writers.slot_of_another(self.draw) for _ in range(50)]
        self._aside(self._holding("SELECT FROM availability_slots WHERE id = ANY(%s) FOR UPDATE", slots))

    async def _hold_table(self) -> None:
        self._aside(self._holding("LOCK TABLE idempotency_keys IN ACCESS EXCLUSIVE MODE"))

    async def _holding(self, statement: str, *values: object) -> None:
        # Whoever holds it may be killed together with PostgreSQL.
        with suppress(psycopg.OperationalError):
            async with await psycopg.AsyncConnection.connect(self.database.url(OWNER)) as somebody:
                await somebody.execute(statement, values or None)  # type: ignore[call-overload]
                await asyncio.sleep(self.draw.uniform(*HELD_S))
                await somebody.rollback()

    async def _use_up(self) -> None:
        self._aside(self._using_up())

    async def _using_up(self) -> None:
        async with AsyncExitStack() as stack:
            with suppress(psycopg.OperationalError):
                while True:
                    connection = await psycopg.AsyncConnection.connect(self.database.url(OWNER))
                    await stack.enter_async_context(_Leaving(connection))
            await asyncio.sleep(self.draw.uniform(*HELD_S))


class _Leaving:
    """A connection that may be dead when it is given back."""

    def __init__(self, connection: "psycopg.AsyncConnection[Any]") -> None:
        self._connection = connection

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()


def _bound(work: Callable[[str], Awaitable[None]], how: str) -> Callable[[], Awaitable[None]]:
    return lambda: work(how)
