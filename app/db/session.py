"""A connection of ours, and what runs statements."""

import asyncio
import os
import socket
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import cached_property
from itertools import starmap
from typing import Any, TypeVar

import psycopg

from app.db.asker import TELL, Asker
from app.db.flight import Answer, Asked, Wire
from app.db.statement import Statement
from app.observability import context

Row = TypeVar("Row")

# The server ends a statement after 5 s; past that only a dead wire keeps us waiting.
ANSWER_TIMEOUT_S = 8


class Connection(psycopg.AsyncConnection[Any]):
    """A connection that remembers a warning which makes the outcome of a COMMIT unknown."""

    outcome_is_unknown = False

    @cached_property
    def wire(self) -> Wire:
        """What statements go over."""
        return Wire(self)

    @contextmanager
    def answers_in_time(self) -> Iterator[None]:
        """Who waits in this block for longer than `ANSWER_TIMEOUT_S` learns that the connection is lost."""
        alarm = asyncio.get_running_loop().call_later(ANSWER_TIMEOUT_S, self.cut)
        try:
            yield
        finally:
            alarm.cancel()

    def cut(self) -> None:
        """End the wire under whoever waits for an answer, who then learns that the connection is lost.

        psycopg would ask the server to stop the statement, which may undo what it was about to acknowledge, and wait
        for that up to 10 s more.
        """
        with suppress(OSError), socket.socket(fileno=os.dup(self.fileno())) as wire:
            wire.shutdown(socket.SHUT_RDWR)


class Runner(ABC):
    """The three ways to run a statement."""

    async def one(self, statement: Statement[Row], **values: object) -> Row | None:
        """The first row, or `None`."""
        found = (await self.run(statement, values)).rows
        return statement.row(*found[0]) if found else None

    async def many(self, statement: Statement[Row], **values: object) -> list[Row]:
        """All rows, in the statement's order."""
        return list(starmap(statement.row, (await self.run(statement, values)).rows))

    async def execute(self, statement: Statement[Any], **values: object) -> int:
        """The number of rows that were touched."""
        return (await self.run(statement, values)).rowcount

    @abstractmethod
    async def run(self, statement: Statement[Any], values: Mapping[str, Any]) -> Answer:
        """What the statement finds or touches."""


class Session(Runner):
    """Runs statements on one connection, on somebody's behalf."""

    def __init__(self, connection: Connection, asker: Asker) -> None:
        self._connection = connection
        self._asker = asker
        self._is_told = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """What is run in this block holds or fails as one."""
        # BEGIN, COMMIT and ROLLBACK wait for an answer as well.
        with self._connection.answers_in_time():
            async with self._connection.transaction():
                await self._connection.wire.fly((TELL, self._asker.values()))
                self._is_told = True
                yield

    async def run(self, statement: Statement[Any], values: Mapping[str, Any]) -> Answer:
        """What the statement finds or touches. Raises `psycopg.Error`."""
        context.count_statement()
        asked = [(statement, values)] if self._is_told else personal(self._asker, statement, values)
        with self._connection.answers_in_time():
            return await self._connection.wire.fly(*asked)

    async def read_together(self, reads: Sequence[Sequence[Asked]]) -> list[Answer | psycopg.Error]:
        """What each `personal` read finds, in one transaction, up to the first that fails."""
        with self._connection.answers_in_time():
            return await self._connection.wire.fly_as_one(reads)


def personal(asker: Asker, statement: Statement[Any], values: Mapping[str, Any]) -> Sequence[Asked]:
    """The statement, behind who asks if it is personal: PostgreSQL forgets that with the transaction."""
    asked = (statement, values)
    return [(TELL, asker.values()), asked] if statement.is_personal else [asked]
