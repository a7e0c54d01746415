"""The pool, and the three ways to run SQL: `one`, `many` and `execute` in autocommit; `transaction` for the few
use cases that need several statements.

A single statement in autocommit is one transaction and one round trip: there is nothing to roll back and no time in
which a connection sits idle inside a transaction (docs/decisions/0001).
"""

import asyncio
import functools
import random
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

import psycopg
import psycopg_pool

from app.db import session as sessions
from app.db.asker import SYSTEM, Asker, all_of, present
from app.db.errors import ConnectionLost, LockTimeout, is_connection_lost, is_out_of_order, is_retryable, translated
from app.db.flight import Answer
from app.db.joined import Joined
from app.db.reads import Read, Reads
from app.db.session import Connection, Runner, Session, personal
from app.db.statement import LOCK_TIMEOUT, Statement, Together
from app.kit.errors import Unavailable
from app.observability import context, logs

Row = TypeVar("Row")

LOCK_TIMEOUT_MS = 2_000
# Calls that share a statement share its waiting: behind a lock that is not given back at once, each goes alone.
JOINED_LOCK_TIMEOUT_MS = 100
# Kinds of calls that travel together, by statement, clinic and length of a page; who is idle is forgotten beyond it.
JOINED_MAX = 1_000
STATEMENT_TIMEOUT_MS = 5_000
IDLE_IN_TRANSACTION_TIMEOUT_MS = 5_000
CONNECT_TIMEOUT_S = 3
# When we have given up. A wire that dies between a statement and its end leaves a session that waits for us with its
# locks in hand, and none of the limits above is counted then.
TRANSACTION_TIMEOUT_MS = 8_000
# PostgreSQL 15 and 16 know no such limit: of a client that is gone they hear from the kernel, by default in two hours.
KEEPALIVE_IDLE_S, KEEPALIVE_INTERVAL_S, KEEPALIVE_COUNT = 10, 5, 3
# A thousand clients on one slot are served from 16 connections in 2 s on two cores; nobody waits longer than this.
QUEUE_S = 10
# A queue for connections in which nobody was served for so long does not move: the database is away, or all
# connections wait for somebody's lock.
QUEUE_STANDS_STILL_S = 1
# After this the pool forgets a failed attempt, and the next request makes a new one: recovery needs no restart.
RECONNECT_GIVE_UP_S = 1
# A restart of PostgreSQL breaks all connections at once; one sweep is enough for them.
REPLACE_PAUSE_S = 1
# A full disk refuses every request, and the log may be on it.
TELL_PAUSE_S = 1
TRIES_MAX = 3
RETRY_PAUSE_S = 0.02

# Comes along with a call's values, from its own context to the one in which the calls of many are run.
_ASKER = " asker"
_SYNC_REPLICATION_CANCELED = "01000"
_KNOWS_TRANSACTION_TIMEOUT = 170_000
_log = logs.logger("db")


class _Pool(psycopg_pool.AsyncConnectionPool[Connection]):
    """Gives the connection that was used last: its PostgreSQL process has everything at hand.

    psycopg's takes them in turns. What 16 processes keep at hand together, a core's cache cannot hold: a tenth of
    PostgreSQL's time.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._pool = _Stack()


class _Stack(deque[Connection]):
    popleft = deque.pop


class Database(Runner):
    """A pool of connections that work under the application's role.

    `told` are settings of every session, for what the database itself decides by: `telemed.bookings_ahead_max`.
    """

    def __init__(self, url: str, *, app_role: str, pool_max: int, told: Mapping[str, int] | None = None) -> None:
        self._joined: dict[tuple[object, ...], Joined[Any]] = {}
        self._reads = Reads(self._read_together, self._read_by_itself)
        self._is_down = False
        self._connections_given = 0
        self._replaced_at = float("-inf")
        self._told_at = float("-inf")
        self._pool = _Pool(
            url,
            connection_class=Connection,
            kwargs={
                "autocommit": True,
                "connect_timeout": CONNECT_TIMEOUT_S,
                "options": _session_options(app_role, told or {}),
                "application_name": "telemed",
                "tcp_user_timeout": sessions.ANSWER_TIMEOUT_S * 1000,
            },
            min_size=1,
            max_size=pool_max,
            timeout=QUEUE_STANDS_STILL_S,
            reconnect_timeout=RECONNECT_GIVE_UP_S,
            reconnect_failed=self._note_down,
            configure=_configure,
            open=False,
        )

    async def open(self) -> None:
        """Start to connect; does not wait, so that the process starts while the database is away."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close every connection, once what is on its way has arrived."""
        for joined in self._joined.values():
            await joined.close()
        await self._reads.close()
        await self._pool.close()

    async def one(self, statement: Statement[Row], **values: object) -> Row | None:
        """The first row, or `None`. Raises `ConstraintViolation`, `LockTimeout`, `Unavailable`.

        A statement that can answer several calls at once is run for all that wait at this moment.
        """
        if statement.together is not None:
            found = await self._joined_call(statement, statement.together, values)
            return found[0] if found else None
        return await super().one(statement, **values)

    async def many(self, statement: Statement[Row], **values: object) -> list[Row]:
        """All rows, in the statement's order. Raises, and shares the statement, as `one` does."""
        if statement.together is not None:
            return await self._joined_call(statement, statement.together, values)
        return await super().many(statement, **values)

    async def run(self, statement: Statement[Any], values: Mapping[str, Any]) -> Answer:
        """What the statement finds or touches. Raises as `one` does."""
        if statement.is_write:
            # A client that hangs up must not cancel a write: psycopg would ask PostgreSQL to stop it, and a COMMIT that
            # is stopped while it waits for a standby is kept here and lost at failover.
            return await asyncio.shield(asyncio.ensure_future(self._write(present(), statement, values)))
        asker = present()
        try:
            if asker is SYSTEM:
                # What the house asks waits for no neighbour: everybody waits for the list of void tokens.
                return await self._run_once(asker, statement, values)
            return await self._reads.answer(asker, statement, values)
        except ConnectionLost:
            # Reading twice is harmless, and the first connection may have been dead for hours.
            return await self._run_once(asker, statement, values)

    async def _joined_call(self, statement: Statement[Row], together: Together, values: dict[str, object]) -> list[Row]:
        context.count_statement()
        alike = (statement, *(values[name] for name in together.alike_by))
        joined = self._joined.get(alike)
        if joined is None:
            if len(self._joined) >= JOINED_MAX:
                self._joined = {key: joined for key, joined in self._joined.items() if joined.is_busy}
            is_final = functools.partial(_is_final, statement)
            joined = self._joined[alike] = Joined(statement, self._run_joined, is_final=is_final)
        return await joined.call({**values, _ASKER: present()})

    async def _run_joined(
        self,
        statement: Statement[Any],
        calls: list[Mapping[str, object]],
        is_alone: bool,  # noqa: FBT001 - called by Joined only
    ) -> Mapping[int, list[Any]]:
        assert statement.together is not None, "a statement for several calls"
        asker = all_of([cast("Asker", call[_ASKER]) for call in calls])
        values: dict[str, object] = {
            name: calls[0][name] if name in statement.together.alike_by else [call[name] for call in calls]
            for name in calls[0]
            if name != _ASKER
        }
        if LOCK_TIMEOUT in statement.parameters:
            values[LOCK_TIMEOUT] = str(LOCK_TIMEOUT_MS if is_alone else JOINED_LOCK_TIMEOUT_MS)

        run = self._write if statement.is_write and is_alone else self._run_once
        answer = await run(asker, statement, values)
        found: defaultdict[int, list[Any]] = defaultdict(list)
        for place, *row in answer.rows:
            found[place].append(statement.row(*row))
        return found

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """Several statements that all hold or none; committed when the block ends."""
        async with self._session(present()) as session, session.transaction():
            yield session

    async def _read_together(self, reads: Sequence[Read]) -> list[Answer | Exception]:
        async with self._session(SYSTEM) as session:
            outcomes = await session.read_together(
                [personal(read.asker, read.statement, read.values) for read in reads]
            )
            return [
                await self._noted(outcome) if isinstance(outcome, psycopg.Error) else outcome for outcome in outcomes
            ]

    async def _read_by_itself(self, read: Read) -> Answer:
        return await self._run_once(read.asker, read.statement, read.values)

    async def _run_once(self, asker: Asker, statement: Statement[Any], values: Mapping[str, Any]) -> Answer:
        async with self._session(asker) as session:
            return await session.run(statement, values)

    async def _write(self, asker: Asker, statement: Statement[Any], values: Mapping[str, Any]) -> Answer:
        for tries_left in reversed(range(TRIES_MAX)):
            try:
                return await self._run_once(asker, statement, values)
            except Unavailable as error:
                cause = error.__cause__
                if not (tries_left and isinstance(cause, psycopg.Error) and is_retryable(cause)):
                    raise
                _log.warning("statement retried", sqlstate=cause.sqlstate, tries_left=tries_left)
                await asyncio.sleep(random.uniform(0, RETRY_PAUSE_S))  # noqa: S311 - jitter, not a secret
        raise AssertionError("the last try returns or raises")

    @asynccontextmanager
    async def _session(self, asker: Asker) -> AsyncIterator[Session]:
        connection = await self._connection()
        try:
            yield Session(connection, asker)
            if connection.outcome_is_unknown:
                await connection.close()
                raise ConnectionLost
        except psycopg.Error as error:
            raise await self._noted(error)  # noqa: B904 - it has its cause
        finally:
            await self._pool.putconn(connection)

    async def _noted(self, error: psycopg.Error) -> Exception:
        """The house's exception, once we have done about it what is to be done."""
        if is_connection_lost(error):
            await self._replace_connections()
        if is_out_of_order(error):
            self._tell_out_of_order(error)
        raised = translated(error)
        if raised is not error:
            raised.__cause__ = error
        return raised

    async def _connection(self) -> Connection:
        """One of the pool, for as long as the queue for them moves. Raises `Unavailable`."""
        give_up_at = asyncio.get_running_loop().time() + QUEUE_S
        while True:
            given = self._connections_given
            try:
                # Asking again keeps the place among those who came at the same time, and makes the pool try to grow.
                connection = await self._pool.getconn()
            except psycopg_pool.PoolTimeout as error:
                if self._connections_given == given or asyncio.get_running_loop().time() > give_up_at:
                    raise Unavailable("The database cannot be reached. Retry with the same key.") from error
            except psycopg_pool.PoolClosed as error:
                raise Unavailable from error
            else:
                self._connections_given += 1
                self._is_down = False
                return connection

    async def _replace_connections(self) -> None:
        """One connection was lost: its neighbours most likely were as well, or point to a demoted primary."""
        now = asyncio.get_running_loop().time()
        if now - self._replaced_at > REPLACE_PAUSE_S:
            self._replaced_at = now
            await self._pool.drain()

    def _tell_out_of_order(self, error: psycopg.Error) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._told_at > TELL_PAUSE_S:
            self._told_at = now
            _log.error("database has no room or no working disk", sqlstate=error.sqlstate)

    async def _note_down(self, _pool: object) -> None:
        if not self._is_down:
            _log.error("database cannot be reached")
        self._is_down = True


def _is_final(statement: Statement[Any], error: Exception, calls: int) -> bool:
    """Whether the error is the answer to every one of these calls, so that none needs to be run alone."""
    if isinstance(error, ConnectionLost):
        # A read is tried once more; what became of a write is unknown.
        return statement.is_write
    if isinstance(error, LockTimeout) and not statement.is_write:
        # A read waits for whole tables only: each would wait again for the same, on a connection of its own.
        return True
    if isinstance(error, Unavailable):
        # What PostgreSQL said of a statement (a lock, a deadlock) has a code, and may be about one call; without one
        # the database is away.
        return getattr(error.__cause__, "sqlstate", None) is None
    return calls == 1


def _session_options(app_role: str, told: Mapping[str, int]) -> str:
    settings = {
        "role": app_role,
        "lock_timeout": LOCK_TIMEOUT_MS,
        "statement_timeout": STATEMENT_TIMEOUT_MS,
        "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_TIMEOUT_MS,
        "tcp_keepalives_idle": KEEPALIVE_IDLE_S,
        "tcp_keepalives_interval": KEEPALIVE_INTERVAL_S,
        "tcp_keepalives_count": KEEPALIVE_COUNT,
        "timezone": "UTC",
        # Every statement has one good plan (tests/laws hold each to it), and PostgreSQL planned some anew each time.
        "plan_cache_mode": "force_generic_plan",
        **told,
    }
    return " ".join(f"-c {name}={value}" for name, value in settings.items())


async def _configure(connection: Connection) -> None:
    def note(diagnostic: psycopg.errors.Diagnostic) -> None:
        # PostgreSQL kept the COMMIT here but did not wait for the standby: a failover may still lose it.
        if diagnostic.sqlstate == _SYNC_REPLICATION_CANCELED and diagnostic.severity_nonlocalized == "WARNING":
            connection.outcome_is_unknown = True

    connection.add_notice_handler(note)
    # PostgreSQL refuses a connection that asks for a setting that it does not know.
    if connection.info.server_version >= _KNOWS_TRANSACTION_TIMEOUT:
        with connection.answers_in_time():
            await connection.execute(f"SET transaction_timeout = {TRANSACTION_TIMEOUT_MS}")
