"""Statements travel in one write, and whatever goes wrong on the way, the connection is whole or gone."""

import asyncio
import fcntl
import sys
import termios
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import errors
from psycopg.abc import PQGen
from sqlalchemy import ARRAY, BigInteger, Integer, bindparam, select
from sqlalchemy.types import TypeEngine

from app.db import flight
from app.db.flight import Answer, Wire
from app.db.schema import Instant, Uuid
from app.db.statement import Statement, compiled
from tests.patience import eventually

FAR, NEAR = datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC), datetime(1, 1, 1, tzinfo=UTC)
ELSEWHERE = datetime(2026, 11, 29, 12, tzinfo=timezone(timedelta(hours=5, minutes=45)))


def asked(text: str, *parameters: str) -> Statement[Any]:
    return Statement("asked", text, tuple, (), frozenset(parameters), {}, {}, is_write=False)


DIVIDED = asked("SELECT 10 / %(by)s::int", "by")


def over_a_wire(url: str, use: Callable[[psycopg.AsyncConnection[Any], Wire], Awaitable[None]]) -> None:
    async def connected() -> None:
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            await use(connection, Wire(connection))

    asyncio.run(connected())


def test_a_flight_is_one_transaction_and_answers_what_is_last(database_url: str) -> None:
    telling = asked("SELECT set_config('telemed.role', %(role)s::text, true)", "role")
    told = asked("SELECT current_setting('telemed.role', true), 1 FROM generate_series(1, 2)")

    async def use(_: psycopg.AsyncConnection[Any], wire: Wire) -> None:
        answer = await wire.fly((telling, {"role": "doctor"}), (told, {}))
        assert (answer.rows, answer.rowcount) == ([("doctor", 1)] * 2, 2)
        assert (await wire.fly((told, {}))).rows == [("", 1)] * 2, "forgotten with the answer"

    over_a_wire(database_url, use)


def test_a_long_answer_that_is_there_is_taken_at_once(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # 120 kB, of which libpq reads 16 at a time.
    long = asked("SELECT repeat('x', 50) FROM generate_series(1, 2000)")

    async def use(connection: psycopg.AsyncConnection[Any], wire: Wire) -> None:
        await wire.fly((long, {}))
        waits = 0

        def patient(exchange: PQGen[Any]) -> PQGen[Any]:
            nonlocal waits
            try:
                asks_for = next(exchange)
                while True:
                    waits += 1
                    eventually(lambda: _bytes_there(connection.fileno()) >= 120_000)
                    asks_for = exchange.send((yield asks_for))
            except StopIteration as end:
                return end.value

        wait = connection.wait
        monkeypatch.setattr(connection, "wait", lambda exchange: wait(patient(exchange)))
        assert len((await wire.fly((long, {}))).rows) == 2_000
        assert waits == 1

    over_a_wire(database_url, use)


def _bytes_there(socket: int) -> int:
    return int.from_bytes(fcntl.ioctl(socket, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_a_statement_whose_first_run_fails_is_prepared(database_url: str) -> None:
    async def use(_: psycopg.AsyncConnection[Any], wire: Wire) -> None:
        for by, result in ((0, None), (5, 2), (0, None), (2, 5)):
            if result is None:
                with pytest.raises(errors.DivisionByZero):
                    await wire.fly((DIVIDED, {"by": by}))
            else:
                assert (await wire.fly((DIVIDED, {"by": by}))).rows == [(result,)]

    over_a_wire(database_url, use)


def test_after_a_statement_that_fails_the_others_are_not_run(database_url: str) -> None:
    made = asked("CREATE TEMPORARY TABLE made (id int)")

    async def use(connection: psycopg.AsyncConnection[Any], wire: Wire) -> None:
        for statements in ([made, DIVIDED], [DIVIDED, made]):
            with pytest.raises(errors.DivisionByZero):
                await wire.fly(*((one, {"by": 0} if one is DIVIDED else {}) for one in statements))
            cursor = await connection.execute("SELECT to_regclass('made')")
            assert await cursor.fetchone() == (None,)

    over_a_wire(database_url, use)


def test_the_parts_of_a_flight_are_told_up_to_the_first_that_fails(database_url: str) -> None:
    who = asked("SELECT coalesce(current_setting('telemed.role', true), '')")
    telling = asked("SELECT set_config('telemed.role', %(role)s::text, true)", "role")

    async def use(_: psycopg.AsyncConnection[Any], wire: Wire) -> None:
        for by, expected in ((0, None), (5, Answer([(2,)], 1)), (0, None), (2, Answer([(5,)], 1))):
            first, second, third, *others = await wire.fly_as_one(
                [
                    [(who, {})],
                    [(telling, {"role": "doctor"}), (who, {})],
                    [(telling, {"role": "admin"}), (DIVIDED, {"by": by})],
                    [(who, {})],
                ]
            )
            assert [first, second] == [Answer([("",)], 1), Answer([("doctor",)], 1)]
            if expected is None:
                assert isinstance(third, errors.DivisionByZero)
                assert not others, "not run"
            else:
                assert [third, *others] == [expected, Answer([("admin",)], 1)]

    over_a_wire(database_url, use)


def test_what_was_answered_before_the_connection_broke_is_not_told(database_url: str) -> None:
    async def use(_: psycopg.AsyncConnection[Any], wire: Wire) -> None:
        [ended] = await wire.fly_as_one(
            [
                [(DIVIDED, {"by": 1})],
                [(asked("SELECT pg_terminate_backend(pg_backend_pid(), 1000)"), {})],
                [(DIVIDED, {"by": 1})],
            ]
        )
        assert isinstance(ended, errors.AdminShutdown)

    over_a_wire(database_url, use)


def test_a_statement_that_is_none_is_told_as_such(database_url: str) -> None:
    async def use(_: psycopg.AsyncConnection[Any], wire: Wire) -> None:
        for _again in range(2):
            with pytest.raises(errors.SyntaxError):
                await wire.fly((DIVIDED, {"by": 1}), (asked("SELEKT"), {}))
        assert (await wire.fly((DIVIDED, {"by": 1}))).rows == [(10,)]

    over_a_wire(database_url, use)


def test_past_the_limit_all_that_was_prepared_is_forgotten(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flight, "PREPARED_MAX", 3)

    async def use(connection: psycopg.AsyncConnection[Any], wire: Wire) -> None:
        most = 0
        for _again in range(2):
            for number in range(7):
                assert (await wire.fly((asked(f"SELECT {number}"), {}))).rows == [(number,)]
                cursor = await connection.execute("SELECT count(*)::int FROM pg_prepared_statements", prepare=False)
                most = max(most, *(await cursor.fetchone() or (0,)))
        assert most == flight.PREPARED_MAX + 1

    over_a_wire(database_url, use)


def test_what_fails_at_its_commit_has_failed(database_url: str) -> None:
    async def use(connection: psycopg.AsyncConnection[Any], wire: Wire) -> None:
        await connection.execute("CREATE TEMPORARY TABLE parents (id int PRIMARY KEY)")
        await connection.execute(
            "CREATE TEMPORARY TABLE children (id int REFERENCES parents DEFERRABLE INITIALLY DEFERRED)"
        )
        for _again in range(2):
            with pytest.raises(errors.ForeignKeyViolation):
                await wire.fly((asked("INSERT INTO children VALUES (1)"), {}))

    over_a_wire(database_url, use)


def test_whoever_is_hung_up_on_hears_why(database_url: str) -> None:
    async def use(connection: psycopg.AsyncConnection[Any], wire: Wire) -> None:
        with pytest.raises(errors.AdminShutdown):
            await wire.fly((DIVIDED, {"by": 1}), (asked("SELECT pg_terminate_backend(pg_backend_pid(), 1000)"), {}))
        with pytest.raises(psycopg.OperationalError):
            await wire.fly((DIVIDED, {"by": 1}))
        assert connection.broken

    over_a_wire(database_url, use)


def test_a_flight_that_is_given_up_leaves_a_connection_of_use(database_url: str) -> None:
    async def use(_: psycopg.AsyncConnection[Any], wire: Wire) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await wire.fly((DIVIDED, {"by": 1}), (asked("SELECT pg_sleep(60)"), {}))
        assert (await wire.fly((DIVIDED, {"by": 1}))).rows == [(10,)]

    over_a_wire(database_url, use)


def test_in_a_transaction_a_flight_is_a_part_of_it(database_url: str) -> None:
    async def use(connection: psycopg.AsyncConnection[Any], wire: Wire) -> None:
        async def fail() -> None:
            async with connection.transaction():
                await wire.fly((asked("CREATE TEMPORARY TABLE made (id int)"), {}))
                await wire.fly((DIVIDED, {"by": 0}))

        with pytest.raises(errors.DivisionByZero):
            await fail()
        cursor = await connection.execute("SELECT to_regclass('made')")
        assert await cursor.fetchone() == (None,)

    over_a_wire(database_url, use)


@pytest.mark.parametrize(
    ("kind", "items"),
    [
        (Integer(), [0, -1, None, 2**31 - 1]),
        (BigInteger(), [2**63 - 1, -(2**63), None]),
        (Uuid(), [UUID(int=0), None, UUID(int=2**128 - 1)]),
        (Instant, [NEAR, FAR, None]),
        (Integer(), []),
        (Instant, None),
    ],
)
def test_arrays_arrive_as_they_were_given(database_url: str, kind: TypeEngine[Any], items: list[Any] | None) -> None:
    statement = compiled("items", select(bindparam("items", type_=ARRAY(kind))), tuple)

    async def use(_: psycopg.AsyncConnection[Any], wire: Wire) -> None:
        assert (await wire.fly((statement, {"items": items}))).rows == [(items,)]

    over_a_wire(database_url, use)


def test_a_moment_is_the_same_in_any_zone(database_url: str) -> None:
    statement = compiled("items", select(bindparam("items", type_=ARRAY(Instant))), tuple)

    async def use(_: psycopg.AsyncConnection[Any], wire: Wire) -> None:
        assert (await wire.fly((statement, {"items": [ELSEWHERE]}))).rows == [([ELSEWHERE],)]

    over_a_wire(database_url, use)
