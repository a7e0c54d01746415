"""Months of `audit_logs` and `outbox`: made ahead while serving, and those of the outbox dropped whole."""

from collections.abc import Iterator
from datetime import datetime

import psycopg
import pytest

from app.db import embedded
from tests.cast import fresh_key
from tests.patience import at_once
from tests.tables import held
from tests.worker.house import House, first_of, last_of, month, opened

TABLES = ["audit_logs", "outbox"]
INSERT = {
    "audit_logs": "INSERT INTO audit_logs (clinic_id, id, occurred_at, action, entity_type, outcome, request_id)"
    " VALUES (1, gen_random_uuid(), %s, 'user.created', 'user', 'success', 'test') RETURNING tableoid::regclass::text",
    "outbox": "INSERT INTO outbox (clinic_id, id, created_at, topic, entity_id)"
    " VALUES (1, gen_random_uuid(), %s, 'consultation.booked', 'x') RETURNING tableoid::regclass::text",
}
MAKE = {"audit_logs": "SELECT make_audit_months()", "outbox": "SELECT make_outbox_months()"}


@pytest.fixture
def house(postgres: embedded.Attachment) -> Iterator[House]:
    with opened(postgres, "months") as house:
        yield house


def partition_of(house: House, table: str, moment: datetime) -> str:
    """Where a row of that moment lands."""
    [partition] = house.asks(INSERT[table], moment)
    return str(partition)


def put(house: House, moment: datetime, *, is_published: bool) -> None:
    """An event of an old month, which is made for it."""
    house.asks("SELECT make_month('outbox', %s::date)", moment)
    assert partition_of(house, "outbox", moment) == f"outbox_{moment:%Y_%m}"
    if is_published:
        house.owner.execute("UPDATE outbox SET published_at = now() WHERE created_at = %s", [moment])


@pytest.mark.parametrize("table", TABLES)
def test_migrate_makes_this_month_and_twelve_ahead(house: House, table: str) -> None:
    assert house.months(table) == [month(ahead) for ahead in range(13)]


@pytest.mark.parametrize("table", TABLES)
def test_worker_makes_the_months_that_time_has_used_up(house: House, table: str) -> None:
    """As if the last migration had been four months ago."""
    for ahead in range(9, 13):
        house.owner.execute(f"DROP TABLE {table}_{month(ahead)}".encode())
    assert partition_of(house, table, first_of(9)) == f"{table}_default"
    house.works()
    # What is in the default partition already stays there, and is in nobody's way.
    assert house.months(table) == [month(ahead) for ahead in range(13) if ahead != 9]
    for ahead in range(10, 13):
        assert partition_of(house, table, first_of(ahead)) == f"{table}_{month(ahead)}"
        assert partition_of(house, table, last_of(ahead)) == f"{table}_{month(ahead)}"


@pytest.mark.parametrize("table", TABLES)
def test_row_of_the_thirteenth_month_lands_in_it_once_that_is_a_year_ahead(house: House, table: str) -> None:
    assert partition_of(house, table, last_of(12)) == f"{table}_{month(12)}"
    house.asks("SELECT make_month(%s, %s::date)", table, first_of(13))
    assert partition_of(house, table, first_of(13)) == f"{table}_{month(13)}"
    assert partition_of(house, table, first_of(14)) == f"{table}_default"


def test_months_made_while_serving_are_append_only_too(house: House) -> None:
    house.owner.execute(f"DROP TABLE audit_logs_{month(12)}".encode())
    house.works()
    partition_of(house, "audit_logs", first_of(12))
    for change in ("UPDATE {} SET outcome = 'failure'", "DELETE FROM {}", "TRUNCATE {}"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            house.owner.execute(change.format(f"audit_logs_{month(12)}").encode())


@pytest.mark.parametrize("table", TABLES)
def test_month_is_made_while_somebody_writes(house: House, table: str) -> None:
    """An open transaction that has written to the table delays nothing."""
    house.owner.execute(f"DROP TABLE {table}_{month(12)}".encode())
    with held(house.owner.info.dsn, INSERT[table], [first_of(0)]):
        house.works()
        assert house.months(table)[-1] == month(12)


@pytest.mark.parametrize("table", TABLES)
def test_two_at_once_make_each_month_once(house: House, table: str) -> None:
    for ahead in range(1, 13):
        house.owner.execute(f"DROP TABLE {table}_{month(ahead)}".encode())

    def make() -> int:
        with psycopg.connect(house.owner.info.dsn) as connection:
            row = connection.execute(MAKE[table].encode()).fetchone()
            assert row is not None
            return int(row[0])

    assert sum(at_once([make] * 4)) == 12
    assert len(house.months(table)) == 13


def test_two_workers_at_once_do_no_harm(house: House) -> None:
    put(house, first_of(-4), is_published=True)
    house.owner.execute(f"DROP TABLE audit_logs_{month(12)}".encode())
    at_once([house.works] * 4)
    house.works()
    assert house.months("outbox") == house.months("audit_logs") == [month(ahead) for ahead in range(13)]


def test_outbox_month_that_is_over_and_told_is_dropped_whole(house: House) -> None:
    for ahead in (-5, -4, -3):
        put(house, last_of(ahead), is_published=True)
    house.works()
    assert house.months("outbox")[0] == month(0)
    assert house.asks("SELECT count(*) FROM outbox") == [0]


def test_unpublished_event_keeps_its_month_and_no_other(house: House) -> None:
    put(house, first_of(-5), is_published=True)
    put(house, first_of(-4), is_published=True)
    put(house, last_of(-4), is_published=False)
    put(house, first_of(-3), is_published=True)
    house.works()
    assert house.months("outbox")[:2] == [month(-4), month(0)]
    assert house.asks("SELECT count(*) FROM outbox") == [2]


def test_month_that_ended_less_than_30_days_ago_is_kept(house: House) -> None:
    put(house, first_of(-1), is_published=True)
    house.works()
    assert house.months("outbox")[0] == month(-1)


def test_default_partition_and_audit_months_are_never_dropped(house: House) -> None:
    assert partition_of(house, "outbox", first_of(-30)) == "outbox_default"
    house.owner.execute("UPDATE outbox SET published_at = now()")
    house.asks("SELECT make_month('audit_logs', %s::date)", first_of(-30))
    house.works()
    assert house.asks("SELECT count(*) FROM outbox_default") == [1]
    assert house.months("audit_logs")[0] == month(-30)


def test_drop_gives_way_to_somebody_who_writes_and_comes_again(house: House) -> None:
    """It waits a fifth of a second at most, so that nobody who books waits longer behind it."""
    put(house, first_of(-4), is_published=True)
    clinic = house.clinic
    slot, paul = clinic.dora.offers(), clinic.paul
    with held(house.owner.info.dsn, INSERT["outbox"], [first_of(0)]):
        at_once([house.works, lambda: paul.books(slot, key=fresh_key(), expect=201)])
        assert house.months("outbox")[0] == month(-4)
    house.works()
    assert house.months("outbox")[0] == month(0)
