"""What tests do behind the application's back, as the owner: count rows, turn back clocks, hold what others want."""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

from tests.cast import Clinic, Person, fresh_key, iso

PATIENCE_S = 10.0


def rows_of(owner: psycopg.Connection, table: str, clinic: Clinic) -> int:
    """How many rows of the table the clinic has."""
    query = sql.SQL("SELECT count(*) FROM {} WHERE clinic_id = %s").format(sql.Identifier(table))
    row = owner.execute(query, [clinic.id]).fetchone()
    assert row is not None
    return int(row[0])


def slot_status(owner: psycopg.Connection, slot_id: int) -> str:
    """The stored status of a slot, `withdrawn` included."""
    row = owner.execute("SELECT status FROM availability_slots WHERE id = %s", [slot_id]).fetchone()
    assert row is not None
    return str(row[0])


def begin_slot(owner: psycopg.Connection, slot: dict[str, Any]) -> None:
    """Move an open slot so that it began a minute ago."""
    owner.execute(
        "UPDATE availability_slots SET starts_at = now() - interval '1 minute', ends_at = now() + interval '29 minutes'"
        " WHERE id = %s",
        [slot["id"]],
    )


def age_key(owner: psycopg.Connection, key: str, *, days: float) -> None:
    """Make the key look as if it was used `days` ago."""
    changed = owner.execute(
        "UPDATE idempotency_keys SET created_at = created_at - %s WHERE key = %s", [timedelta(days=days), key]
    )
    assert changed.rowcount == 1


def begun_consultation(
    owner: psycopg.Connection, doctor: Person, patient: Person, *, starts_at: datetime | None = None
) -> dict[str, Any]:
    """A scheduled consultation that began a minute ago: no API call can make one without waiting."""
    starts_at = starts_at or datetime.now(UTC) - timedelta(minutes=1)
    ends_at, clinic_id, id = starts_at + timedelta(minutes=30), doctor.clinic.id, uuid.uuid4()
    row = owner.execute(
        "INSERT INTO availability_slots (clinic_id, doctor_id, starts_at, ends_at, status)"
        " VALUES (%s, %s, %s, %s, 'booked') RETURNING id",
        [clinic_id, doctor.id, starts_at, ends_at],
    ).fetchone()
    assert row is not None
    owner.execute(
        "INSERT INTO consultations (clinic_id, id, slot_id, doctor_id, patient_id, starts_at, ends_at, idempotency_key)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        [clinic_id, id, row[0], doctor.id, patient.id, starts_at, ends_at, fresh_key()],
    )
    return {"id": str(id), "slot_id": row[0], "starts_at": iso(starts_at)}


@contextmanager
def held(database_url: str, statement: str, values: Sequence[object]) -> Iterator[psycopg.Connection]:
    """Somebody else's transaction that has run `statement` and stays open; rolled back unless the test commits."""
    with psycopg.connect(database_url) as connection:
        connection.execute(statement, values)
        yield connection
        connection.rollback()


def hold_key(database_url: str, person: Person, key: str, *, fingerprint: bytes = b"another request") -> Any:
    """Somebody's first booking under this key, still in flight."""
    return held(
        database_url,
        "INSERT INTO idempotency_keys (clinic_id, user_id, operation, key, fingerprint)"
        " VALUES (%s, %s, 'book_slot', %s, %s)",
        [person.clinic.id, person.id, key, fingerprint],
    )


def until(claim: Callable[[], bool]) -> None:
    """Return as soon as the claim holds. Raises `AssertionError` when it does not come true in time."""
    deadline = time.monotonic() + PATIENCE_S
    while not claim():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)


def until_somebody_waits_for(holder: psycopg.Connection, owner: psycopg.Connection) -> None:
    """Return once another session waits for a lock of the holder's."""
    query = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid)))"
    until(lambda: bool((owner.execute(query, [holder.info.backend_pid]).fetchone() or [False])[0]))
