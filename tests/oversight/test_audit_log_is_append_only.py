"""The audit log is append-only: a missing grant stops the application, a trigger the owner, in every partition."""

from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import errors, sql

from tests.cast import Clinic

CHANGES = ["UPDATE {} SET outcome = 'failure'", "DELETE FROM {}", "TRUNCATE {}"]
TABLES = ["audit_logs", f"audit_logs_{datetime.now(UTC):%Y_%m}", "audit_logs_default"]


@pytest.fixture(autouse=True)
def _rows_everywhere(clinic: Clinic, owner: psycopg.Connection) -> None:
    """A row in this month's partition, and one in the default partition."""
    assert clinic.amara.id
    owner.execute(
        "INSERT INTO audit_logs (clinic_id, id, occurred_at, action, entity_type, outcome, request_id)"
        " VALUES (%s, gen_random_uuid(), '2001-01-01T00:00:00Z', 'user.created', 'user', 'success', 'test')",
        [clinic.id],
    )


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("change", CHANGES)
def test_application_has_no_grant(as_application: psycopg.Connection, change: str, table: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege, match="permission denied"):
        as_application.execute(sql.SQL(change).format(sql.Identifier(table)))


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("change", CHANGES)
def test_trigger_stops_the_owner(owner: psycopg.Connection, change: str, table: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege, match="append-only"):
        owner.execute(sql.SQL(change).format(sql.Identifier(table)))


def test_every_partition_has_both_triggers(owner: psycopg.Connection) -> None:
    without = owner.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass AND 2 <> ("
        " SELECT count(*) FROM pg_trigger WHERE tgrelid = inhrelid AND tgenabled = 'O'"
        " AND tgfoid = 'refuse_change_of_audit_log'::regproc)"
    ).fetchall()
    assert without == []


def test_partitions_are_made_a_year_ahead(owner: psycopg.Connection) -> None:
    row = owner.execute(
        "SELECT count(*) FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass"
        " AND inhrelid::regclass::text ~ '_[0-9]{4}_[0-9]{2}$'"
    ).fetchone()
    assert row is not None
    assert row[0] >= 12


@pytest.mark.parametrize("table", TABLES)
def test_application_cannot_switch_the_triggers_off(as_application: psycopg.Connection, table: str) -> None:
    for change in ("ALTER TABLE {} DISABLE TRIGGER ALL", "DROP TABLE {}"):
        with pytest.raises(errors.InsufficientPrivilege, match="must be owner"):
            as_application.execute(sql.SQL(change).format(sql.Identifier(table)))
    with pytest.raises(errors.InsufficientPrivilege):
        as_application.execute("SET session_replication_role = replica")
