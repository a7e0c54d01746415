"""`POST /bookings/`, rules 6, 8 and 9: equal keys at one moment, locks held by others, one transaction."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import psycopg
import pytest

from app.booking.service import _BookSlot
from app.kit.errors import DomainError
from tests.cast import Clinic, fresh_key, some_time
from tests.patience import at_once
from tests.tables import held, hold_key, rows_of, until_somebody_waits_for

TABLES = ("consultations", "audit_logs", "outbox", "idempotency_keys")


def test_equal_keys_at_once_book_once_and_answer_alike(clinic: Clinic, owner: psycopg.Connection) -> None:
    slot, key = clinic.dora.offers(), fresh_key()
    sessions = [clinic.paul.in_another_session() for _ in range(8)]
    answers = at_once([lambda paul=paul: paul.books(slot, key=key, expect=201) for paul in sessions])
    assert len({answer.content for answer in answers}) == 1
    assert sorted("idempotency-replayed" in answer.headers for answer in answers) == [False] + [True] * 7
    assert rows_of(owner, "consultations", clinic) == 1


def test_equal_keys_at_once_are_refused_alike(clinic: Clinic, owner: psycopg.Connection) -> None:
    slot, key = clinic.dora.offers(), fresh_key()
    clinic.petra.has_booked(slot)
    sessions = [clinic.paul.in_another_session() for _ in range(8)]
    answers = at_once([lambda paul=paul: paul.books(slot, key=key, expect=409) for paul in sessions])
    assert {answer.json()["code"] for answer in answers} == {"slot_unavailable"}
    assert rows_of(owner, "idempotency_keys", clinic) == 2


def test_key_in_flight_is_waited_for_and_then_told(clinic: Clinic, database_url: str) -> None:
    slot, key = clinic.dora.offers(), fresh_key()
    clinic.paul.books(slot, key=key, expect=201)
    renew = "UPDATE idempotency_keys SET created_at = created_at WHERE clinic_id = %s AND key = %s"
    with ThreadPoolExecutor(1) as threads, held(database_url, renew, [clinic.id, key]) as first:
        with psycopg.connect(database_url, autocommit=True) as owner:
            second = threads.submit(clinic.paul.books, slot, key=key)
            until_somebody_waits_for(first, owner)
        first.commit()
        assert second.result().headers["idempotency-replayed"] == "true"


def test_key_in_flight_for_long_is_409_idempotency_in_flight(
    clinic: Clinic, owner: psycopg.Connection, database_url: str
) -> None:
    slot, key = clinic.dora.offers(), fresh_key()
    with hold_key(database_url, clinic.paul, key):
        started = time.monotonic()
        refused = clinic.paul.books(slot, key=key, expect=409)
        assert 1.8 < time.monotonic() - started < 8
    assert refused.json()["code"] == "idempotency_in_flight"
    assert int(refused.headers["retry-after"]) >= 1
    assert rows_of(owner, "idempotency_keys", clinic) == rows_of(owner, "consultations", clinic) == 0
    assert "idempotency-replayed" not in clinic.paul.books(slot, key=key, expect=201).headers


def test_key_in_flight_that_is_rolled_back_is_free(
    clinic: Clinic, owner: psycopg.Connection, database_url: str
) -> None:
    slot, key = clinic.dora.offers(), fresh_key()
    with ThreadPoolExecutor(1) as threads, hold_key(database_url, clinic.paul, key) as first:
        second = threads.submit(clinic.paul.books, slot, key=key)
        until_somebody_waits_for(first, owner)
        first.rollback()
        booked = second.result()
    assert booked.status_code == 201
    assert "idempotency-replayed" not in booked.headers


def test_other_body_under_a_key_in_flight_is_422_once_it_is_told(
    clinic: Clinic, owner: psycopg.Connection, database_url: str
) -> None:
    slot, key = clinic.dora.offers(), fresh_key()
    with ThreadPoolExecutor(1) as threads, hold_key(database_url, clinic.paul, key, fingerprint=b"other body") as first:
        second = threads.submit(clinic.paul.books, slot, key=key)
        until_somebody_waits_for(first, owner)
        first.commit()
        assert second.result().json()["code"] == "idempotency_key_reused"
    assert rows_of(owner, "consultations", clinic) == 0


@pytest.fixture
def let_reason(monkeypatch: pytest.MonkeyPatch) -> Iterator[Barrier]:
    """A refused booking meets it twice: when the database has said no, and before it looks for the reason."""
    barrier = Barrier(2, timeout=10)
    look = _BookSlot.reason

    async def reason(command: _BookSlot, constraint: str | None) -> DomainError:
        await asyncio.to_thread(barrier.wait)
        await asyncio.to_thread(barrier.wait)
        return await look(command, constraint)

    monkeypatch.setattr(_BookSlot, "reason", reason)
    yield barrier
    barrier.abort()


def test_other_body_under_a_key_that_books_while_the_refusal_looks_for_its_reason_is_422(
    clinic: Clinic, let_reason: Barrier
) -> None:
    """The constraint left the key free, so that the other request under it is the first one."""
    moment, key = some_time(), fresh_key()
    slot, other = clinic.dora.offers(moment), clinic.dora.offers()
    clinic.paul.has_booked(clinic.dev.offers(moment))
    with ThreadPoolExecutor(1) as threads:
        refused = threads.submit(clinic.paul.books, slot, key=key)
        let_reason.wait()
        booked = clinic.paul.in_another_session().books(other, key=key, expect=201)
        let_reason.wait()
        assert refused.result().json()["code"] == "idempotency_key_reused"
    assert clinic.paul.books(other, key=key, expect=201).content == booked.content


def test_equal_request_that_books_while_the_refusal_looks_for_its_reason_is_the_answer_of_both(
    clinic: Clinic, let_reason: Barrier
) -> None:
    moment, key = some_time(), fresh_key()
    slot, in_the_way = clinic.dora.offers(moment), clinic.paul.has_booked(clinic.dev.offers(moment))
    with ThreadPoolExecutor(1) as threads:
        refused = threads.submit(clinic.paul.books, slot, key=key)
        let_reason.wait()
        clinic.paul.cancels(in_the_way, expect=200)
        booked = clinic.paul.in_another_session().books(slot, key=key, expect=201)
        let_reason.wait()
        assert refused.result().content == booked.content
        assert refused.result().headers["idempotency-replayed"] == "true"


def test_slot_that_somebody_holds_is_503_and_keeps_the_key_free(
    clinic: Clinic, owner: psycopg.Connection, database_url: str
) -> None:
    slot, key = clinic.dora.offers(), fresh_key()
    lock = "SELECT FROM availability_slots WHERE clinic_id = %s AND id = %s FOR UPDATE"
    with held(database_url, lock, [clinic.id, slot["id"]]):
        refused = clinic.paul.books(slot, key=key, expect=503)
    assert refused.json()["code"] == "unavailable"
    assert int(refused.headers["retry-after"]) >= 1
    assert rows_of(owner, "idempotency_keys", clinic) == 0
    assert "idempotency-replayed" not in clinic.paul.books(slot, key=key, expect=201).headers


def test_slot_given_back_while_we_wait_is_booked(clinic: Clinic, owner: psycopg.Connection, database_url: str) -> None:
    slot = clinic.dora.offers()
    lock = "SELECT FROM availability_slots WHERE clinic_id = %s AND id = %s FOR UPDATE"
    with ThreadPoolExecutor(1) as threads, held(database_url, lock, [clinic.id, slot["id"]]) as holder:
        booking = threads.submit(clinic.paul.books, slot)
        until_somebody_waits_for(holder, owner)
        holder.rollback()
        assert booking.result().status_code == 201


def test_booking_is_one_transaction(clinic: Clinic, owner: psycopg.Connection) -> None:
    slot, key = clinic.dora.offers(), fresh_key()
    consultation = clinic.paul.books(slot, key=key, expect=201).json()
    transactions = owner.execute(
        "SELECT xmin::text FROM consultations WHERE id = %(id)s"
        " UNION ALL SELECT xmin::text FROM audit_logs WHERE entity_id = %(id)s::text AND action = 'consultation.booked'"
        " UNION ALL SELECT xmin::text FROM outbox WHERE entity_id = %(id)s::text AND topic = 'consultation.booked'"
        " UNION ALL SELECT xmin::text FROM idempotency_keys WHERE key = %(key)s"
        " UNION ALL SELECT xmin::text FROM availability_slots WHERE id = %(slot_id)s",
        {"id": consultation["id"], "key": key, "slot_id": slot["id"]},
    ).fetchall()
    assert len(transactions) == 5
    assert len(set(transactions)) == 1


@pytest.mark.parametrize("table", ["audit_logs", "outbox"])
def test_booking_that_cannot_be_recorded_does_not_happen(
    clinic: Clinic, owner: psycopg.Connection, database_url: str, table: str
) -> None:
    slot, key = clinic.dora.offers(), fresh_key()
    paul = clinic.paul
    before = [rows_of(owner, name, clinic) for name in TABLES]
    with held(database_url, f"LOCK TABLE {table} IN EXCLUSIVE MODE", []):
        paul.books(slot, key=key, expect=503)
    assert [rows_of(owner, name, clinic) for name in TABLES] == before
    paul.books(slot, key=key, expect=201)


def test_booking_leaves_one_audit_row_and_one_event(clinic: Clinic, owner: psycopg.Connection) -> None:
    consultation = clinic.paul.has_booked(clinic.dora.offers())
    [row] = clinic.amara.audit_rows(action="consultation.booked")
    assert (row["entity_id"], row["actor_id"], row["actor_role"]) == (consultation["id"], clinic.paul.id, "patient")
    assert (row["outcome"], row["details"]) == ("success", {"slot_id": consultation["slot_id"]})
    events = owner.execute("SELECT topic, entity_id FROM outbox WHERE clinic_id = %s", [clinic.id]).fetchall()
    assert events == [("consultation.booked", consultation["id"])]
