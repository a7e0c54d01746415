"""The loop: every job in its turn, whatever becomes of the others."""

import asyncio
from typing import Any, cast

import psycopg
import pytest
import structlog

from app import worker
from app.db import embedded, turns
from app.db.database import Database
from app.db.statement import Statement
from app.kit.errors import Unavailable
from app.observability import logs
from app.worker import Worker
from tests.cast import Clinic, fresh_key
from tests.tables import age_key, held, until
from tests.worker.house import month, opened, works
from tests.worker.test_forgotten_keys import is_kept

NOBODY = cast("Database", None)


@pytest.fixture(autouse=True)
def _logging() -> None:
    logs.configure("warning")


def asked(text: str, row: type) -> Statement[Any]:
    return Statement("asked", text, row, (), frozenset(), {}, {}, is_write=False)


LIMITS = asked("SELECT concat_ws(' ', " + ", ".join(f"current_setting('{name}')" for name in turns.LIMITS) + ")", str)
LOCKS = asked("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()", int)


def test_jobs_run_soon_after_the_start_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    async def job(_: Database) -> int:
        ran.append("job")
        return 1

    async def start_and_stop() -> None:
        working = Worker(NOBODY)
        working.start()
        while len(ran) < 3:
            await asyncio.sleep(0.001)
        await asyncio.wait_for(working.stop(), timeout=5)

    monkeypatch.setattr(worker, "JOBS", {"job": job})
    monkeypatch.setattr(worker, "FIRST_AFTER_S", (0, 0.001))
    monkeypatch.setattr(worker, "EVERY_S", (0, 0.001))
    asyncio.run(start_and_stop())


@pytest.mark.parametrize(
    ("error", "line"), [(Unavailable(), "job put off"), (ValueError("patient Paul"), "job failed")]
)
def test_failure_is_told_once_and_stops_no_other_job(
    monkeypatch: pytest.MonkeyPatch, error: Exception, line: str
) -> None:
    ran: list[str] = []

    async def fails(_: Database) -> int:
        if len(ran) != 2:
            raise error
        return 0

    async def works(_: Database) -> int:
        ran.append("works")
        return 0

    async def rounds() -> None:
        working = Worker(NOBODY)
        for _ in range(5):
            await working.run_round()

    monkeypatch.setattr(worker, "JOBS", {"fails": fails, "works": works})
    with structlog.testing.capture_logs() as lines:
        asyncio.run(rounds())
    assert len(ran) == 5
    # It worked in the third round: the fourth's failure is news.
    assert [(told["event"], told["job"]) for told in lines] == [(line, "fails")] * 2


def test_work_ends_in_the_middle_of_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never_ends(_: Database) -> int:
        await asyncio.sleep(60)
        raise AssertionError("nobody waits that long")

    async def start_and_stop() -> None:
        working = Worker(NOBODY)
        working.start()
        await asyncio.sleep(0.01)
        await asyncio.wait_for(working.stop(), timeout=5)

    monkeypatch.setattr(worker, "JOBS", {"never ends": never_ends})
    monkeypatch.setattr(worker, "FIRST_AFTER_S", (0, 0))
    asyncio.run(start_and_stop())


def test_jobs_leave_the_work_to_whoever_has_the_turn(
    clinic: Clinic, owner: psycopg.Connection, database_url: str
) -> None:
    key = fresh_key()
    clinic.paul.books(clinic.dora.offers(), key=key, expect=201)
    age_key(owner, key, days=8)
    with held(database_url, "SELECT pg_advisory_xact_lock(%s)", [turns.ADVISORY_LOCK]):
        works(clinic)
        assert is_kept(owner, key)
    works(clinic)
    assert not is_kept(owner, key)


def test_turn_leaves_neither_its_lock_nor_its_limits_on_a_connection(database_url: str) -> None:
    """Both would go with a pooled connection to whoever gets it next."""

    async def take() -> list[object]:
        db = Database(database_url, app_role="telemed_app", pool_max=1)
        await db.open()
        try:
            return [await turns.one(db, LIMITS), await db.one(LIMITS), await db.one(LOCKS)]
        finally:
            await db.close()

    of_turn, of_request, locks = asyncio.run(take())
    assert of_turn == " ".join(turns.LIMITS.values())
    assert of_request == "2s 5s on on on"
    assert locks == 0


def test_worker_goes_on_after_lost_connections(postgres: embedded.Attachment) -> None:
    with opened(postgres, "lost") as house, psycopg.connect(house.owner.info.dsn, autocommit=True) as superuser:
        superuser.execute("SET ROLE NONE")

        async def rounds() -> set[str]:
            db = Database(house.owner.info.dsn, app_role="telemed_app", pool_max=2)
            await db.open()
            working = Worker(db)
            try:
                for _ in range(3):
                    await working.run_round()
                    superuser.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE application_name = 'telemed' AND datname = current_database()"
                    )
                await working.run_round()
                house.owner.execute(f"DROP TABLE outbox_{month(12)}".encode())
                await working.run_round()
            finally:
                await db.close()
            return working._failing

        assert asyncio.run(rounds()) == set()
        assert house.months("outbox")[-1] == month(12)


def test_worker_of_a_serving_process_starts_by_itself(
    postgres: embedded.Attachment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "FIRST_AFTER_S", (0, 0.01))
    monkeypatch.setattr(worker, "EVERY_S", (0.01, 0.02))
    with opened(postgres, "started") as house:
        house.owner.execute(f"DROP TABLE outbox_{month(12)}".encode())
        until(lambda: house.months("outbox")[-1] == month(12))
