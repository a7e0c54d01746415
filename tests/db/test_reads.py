"""Reads of one moment share a flight; whoever reads sees no difference."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select

from app.db import database, lane
from app.db.asker import Asker
from app.db.database import Database
from app.db.errors import ConnectionLost, LockTimeout
from app.db.flight import Answer, Asked
from app.db.reads import TOGETHER_MAX
from app.db.session import Session
from app.db.statement import Statement, Together, calls, compiled
from app.kit.errors import Unavailable
from app.observability import context
from app.observability.context import RequestContext


def asked(text: str, *parameters: str, is_personal: bool = False) -> Statement[Any]:
    return Statement(
        "asked", text, lambda *row: row, (), frozenset(parameters), {}, {}, is_write=False, is_personal=is_personal
    )


PROCESS = asked("SELECT pg_backend_pid()")
WHO = asked("SELECT current_setting('telemed.actors'), pg_backend_pid()", is_personal=True)
NOBODY = asked("SELECT coalesce(current_setting('telemed.actors', true), '')")
DIVIDED = asked("SELECT 10 / %(by)s::int", "by")
ECHO = asked("SELECT %(text)s::text", "text")
WAITS = asked("SELECT pg_advisory_xact_lock_shared(7)")
HANGS_UP = asked("SELECT pg_terminate_backend(pg_backend_pid(), 1000)")


@pytest.fixture
def flights(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many went in each flight so far."""
    counts: list[int] = []
    read_together = Session.read_together

    async def counted(self: Session, reads: Sequence[Sequence[Asked]]) -> list[Answer | psycopg.Error]:
        counts.append(len(reads))
        return await read_together(self, reads)

    monkeypatch.setattr(Session, "read_together", counted)
    return counts


def with_database(url: str, use: Callable[[Database], Awaitable[None]], *, pool_max: int = 4) -> None:
    async def opened() -> None:
        context.enter(RequestContext("a-request"))
        db = Database(url, app_role="telemed_owner", pool_max=pool_max)
        await db.open()
        try:
            await use(db)
        finally:
            await db.close()

    asyncio.run(opened())


async def outcomes(*reads: Awaitable[Any]) -> list[Any]:
    return list(await asyncio.gather(*reads, return_exceptions=True))


async def as_patient(db: Database, patient: UUID) -> Any:
    context.enter(RequestContext("a-request", clinic_id=1, actor_id=patient, actor_role="patient"))
    return await db.one(WHO)


def test_each_is_asked_on_behalf_of_its_own_asker(database_url: str) -> None:
    async def use(db: Database) -> None:
        patients = [uuid4() for _ in range(TOGETHER_MAX)]
        found = await outcomes(*(as_patient(db, patient) for patient in patients))
        assert [actors for actors, _ in found] == [
            Asker("patient", "1", frozenset({str(patient)})).values()["asker_actors"] for patient in patients
        ]
        assert len({process for _, process in found}) == 1, "in one flight"

    with_database(database_url, use)


def test_who_asks_is_nobody_for_what_is_nobodys(database_url: str) -> None:
    async def use(db: Database) -> None:
        patient = uuid4()
        found = await outcomes(as_patient(db, patient), db.one(NOBODY), as_patient(db, patient), db.one(NOBODY))
        assert [found[1], found[3]] == [("",)] * 2
        assert str(patient) in found[0][0]

    with_database(database_url, use)


def test_more_than_a_flight_holds_go_with_the_next(database_url: str, flights: list[int]) -> None:
    async def use(db: Database) -> None:
        found = await outcomes(*(db.one(ECHO, text=str(number)) for number in range(TOGETHER_MAX + 2)))
        assert found == [(str(number),) for number in range(TOGETHER_MAX + 2)]
        assert flights == [TOGETHER_MAX, 2]

    with_database(database_url, use)


def test_what_fails_fails_alone(database_url: str) -> None:
    async def use(db: Database) -> None:
        found = await outcomes(*(db.one(DIVIDED, by=by) for by in (1, 0, 2, 0)), db.many(DIVIDED, by=5))
        assert [found[0], found[2], found[4]] == [(10,), (5,), [(2,)]]
        assert all(isinstance(found[place], psycopg.errors.DivisionByZero) for place in (1, 3))

    with_database(database_url, use)


def test_who_wants_what_another_could_not_wait_for_does_not_wait_again(
    database_url: str, flights: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LOCK_TIMEOUT_MS", 50)

    async def use(db: Database) -> None:
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as keeper:
            await keeper.execute("SELECT pg_advisory_lock(7)")
            found = await outcomes(db.one(DIVIDED, by=2), *(db.one(WAITS) for _ in range(3)), db.one(DIVIDED, by=5))
        assert [found[0], found[4]] == [(5,), (2,)]
        assert all(isinstance(stuck, LockTimeout) for stuck in found[1:4])
        assert flights == [5, 1], "once for all, and once more for who was behind them"

    with_database(database_url, use)


def test_of_calls_that_share_a_read_none_waits_twice_for_its_lock(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = calls(number=Integer())
    stuck = compiled(
        "stuck", select(number.c.place, func.pg_advisory_xact_lock_shared(7)), lambda *row: row, together=Together()
    )
    ran: list[str] = []
    run = Session.run

    async def counted(self: Session, statement: Statement[Any], values: Mapping[str, Any]) -> Answer:
        # Other tests' application asks things of its own meanwhile, in this process.
        if statement is stuck:
            ran.append(statement.name)
        return await run(self, statement, values)

    monkeypatch.setattr(Session, "run", counted)
    monkeypatch.setattr(database, "LOCK_TIMEOUT_MS", 50)

    async def use(db: Database) -> None:
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as keeper:
            await keeper.execute("SELECT pg_advisory_lock(7)")
            found = await outcomes(*(db.many(stuck, clinic_id=1, number=number) for number in range(3)))
        assert all(isinstance(told, LockTimeout) for told in found)
        assert ran == ["stuck"]

    with_database(database_url, use)


def test_what_cannot_be_sent_keeps_nobody_from_being_read(database_url: str) -> None:
    async def use(db: Database) -> None:
        good, bad, other = await outcomes(*(db.one(ECHO, text=text) for text in ("a", "a\0b", "b")))
        assert (good, other) == (("a",), ("b",))
        assert isinstance(bad, psycopg.DataError)

    with_database(database_url, use)


def test_who_is_behind_a_lost_connection_is_read_again(database_url: str) -> None:
    async def use(db: Database) -> None:
        before, lost, behind = await outcomes(db.one(DIVIDED, by=1), db.one(HANGS_UP), db.one(DIVIDED, by=2))
        assert (before, behind) == ((10,), (5,))
        assert isinstance(lost, ConnectionLost)

    with_database(database_url, use)


def test_without_a_database_all_hear_it() -> None:
    async def use(db: Database) -> None:
        for found in await outcomes(*(db.one(DIVIDED, by=by) for by in (1, 2))):
            assert isinstance(found, Unavailable)

    with_database("postgresql://nobody@localhost:1/nowhere", use)


def test_the_connection_that_was_used_last_is_used_next(database_url: str) -> None:
    async def use(db: Database) -> None:
        # As many at a time as the pool holds, so that it has them all.
        at_once = await outcomes(*(db.execute(_sleeping(number)) for number in range(4)))
        assert at_once == [1] * 4
        assert len({await db.one(PROCESS) for _ in range(12)}) == 1

    with_database(database_url, use)


def _sleeping(number: int) -> Statement[Any]:
    return Statement(
        f"sleeping_{number}", "SELECT pg_sleep(0.1)", int, (), frozenset(), {}, {}, is_write=True, is_personal=False
    )


def test_a_client_that_leaves_takes_nobody_along(database_url: str) -> None:
    async def use(db: Database) -> None:
        leaving = asyncio.create_task(db.one(asked("SELECT pg_sleep(0.2)")))
        staying = asyncio.create_task(db.one(DIVIDED, by=2))
        # Both are on their way.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert await staying == (5,)

    with_database(database_url, use)


@asynccontextmanager
async def one_waits(db: Database, url: str) -> AsyncIterator[asyncio.Task[Any]]:
    """In the air, for something that it gets when the block ends."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as keeper:
        await keeper.execute("SELECT pg_advisory_lock(7)")
        waiting = asyncio.create_task(db.one(WAITS))
        while not await _waiting_at(keeper):
            await asyncio.sleep(0.005)
        yield waiting
        await keeper.execute("SELECT pg_advisory_unlock(7)")
    await waiting


async def _waiting_at(keeper: psycopg.AsyncConnection[Any]) -> int:
    found = await keeper.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    [waiting] = await found.fetchone() or (0,)
    return int(waiting)


async def started(*asks: Awaitable[Any]) -> list[asyncio.Task[Any]]:
    """One after the other, each in a turn of the loop of its own."""
    tasks = []
    for ask in asks:
        tasks.append(asyncio.ensure_future(ask))
        for _ in range(5):
            await asyncio.sleep(0)
    return tasks


def test_who_comes_while_one_is_in_the_air_goes_with_the_next(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "LATE_S", 60)

    async def use(db: Database) -> None:
        async with one_waits(db, database_url):
            asked_meanwhile = await started(*(db.one(PROCESS) for _ in range(TOGETHER_MAX)))
        assert len(set(await asyncio.gather(*asked_meanwhile))) == 1, "in one flight"

    with_database(database_url, use)


def test_what_the_house_asks_flies_alone(
    database_url: str, flights: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "LATE_S", 60)

    async def use(db: Database) -> None:
        async with one_waits(db, database_url) as slow:
            own = asyncio.get_running_loop().create_task(db.one(DIVIDED, by=2), context=Context())
            assert await own == (5,)
            assert not slow.done()
        assert not flights

    with_database(database_url, use)


def test_who_leaves_before_its_flight_takes_nobodys_place(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "LATE_S", 60)

    async def use(db: Database) -> None:
        async with one_waits(db, database_url):
            [leaving] = await started(db.one(PROCESS))
            leaving.cancel()
        assert await asyncio.wait_for(db.one(DIVIDED, by=2), 5) == (5,)

    with_database(database_url, use)


def test_what_takes_long_does_not_keep_the_others_waiting(database_url: str) -> None:
    async def use(db: Database) -> None:
        async with one_waits(db, database_url) as slow:
            assert await db.one(DIVIDED, by=2) == (5,)
            assert not slow.done()

    with_database(database_url, use)


def test_who_waited_for_what_takes_long_does_not_go_with_its_like(database_url: str) -> None:
    async def use(db: Database) -> None:
        async with one_waits(db, database_url) as slow:
            [like_them] = await started(db.one(WAITS))
            assert await db.one(DIVIDED, by=2) == (5,)
            assert not slow.done()
            assert not like_them.done()
        await like_them

    with_database(database_url, use)


def test_what_locks_a_row_is_no_read() -> None:
    users = Table("users", MetaData(), Column("id", Integer))
    for query in (select(users).with_for_update(), select(users).with_for_update(read=True), insert(users)):
        with pytest.raises(AssertionError, match="is no read"):
            compiled("locking", query, int)
        compiled("locking", query, int, is_write=True)
