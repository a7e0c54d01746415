"""How jobs use the database: one of all processes at a time, in short transactions with tight limits.

A turn lasts for a transaction and ends with its connection, so nobody has to give it back. Between two turns no
connection is held.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy import Text, func, literal, select, true

from app.db.database import Database
from app.db.session import Session
from app.db.statement import Statement, compiled

Row = TypeVar("Row")

# Any number will do, if every release keeps it and no other lock has it.
ADVISORY_LOCK = 7_065_108_102
LIMITS = {
    # A job can wait for an hour, a request behind it cannot.
    "lock_timeout": "200ms",
    "statement_timeout": "3s",
    # A batch is small and what is kept is much, even where it is not yet, or old statistics deny it: row by row, by
    # index, a batch costs the same for ever.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
# A few milliseconds of work; then requests have the disk to themselves.
BATCH_ROWS = 500
PAUSE_S = 0.1


def _is_mine(is_mine: bool, *_limits: str) -> bool:  # noqa: FBT001 - a column
    return is_mine


TAKE_TURN = compiled(
    "take_turn",
    select(
        func.pg_try_advisory_xact_lock(literal(ADVISORY_LOCK)).label("is_mine"),
        *(
            func.set_config(literal(name, Text), literal(limit, Text), true()).label(name)
            for name, limit in LIMITS.items()
        ),
    ),
    _is_mine,
    is_write=True,
)


async def one(db: Database, statement: Statement[Row], **values: object) -> Row | None:
    """The first row, or `None`, also while another process is at work. Raises as `Database.one` does."""
    async with turn(db) as session:
        if session is None:
            return None
        return await session.one(statement, **values)


async def batches(db: Database, statement: Statement[Any], **values: object) -> int:
    """Runs the statement, which binds `rows`, until there is less to do than a batch; how many rows it touched."""
    touched = 0
    while True:
        async with turn(db) as session:
            count = await session.execute(statement, rows=BATCH_ROWS, **values) if session else 0
        touched += count
        if count < BATCH_ROWS:
            return touched
        await asyncio.sleep(PAUSE_S)


@asynccontextmanager
async def turn(db: Database) -> AsyncIterator[Session | None]:
    """A transaction of several statements, or `None` while another process is at work."""
    async with db.transaction() as session:
        yield session if await session.one(TAKE_TURN) else None
