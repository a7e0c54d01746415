"""`POST /bookings/`: the refusals, and which of several comes first."""

from datetime import timedelta

import psycopg

from tests.cast import Clinic, fresh_key, some_time
from tests.tables import begin_slot, rows_of, slot_status

ABSENT = 2**63 - 1


def test_same_slot_under_another_key_is_409_slot_already_yours(clinic: Clinic) -> None:
    slot = clinic.dora.offers()
    consultation = clinic.paul.has_booked(slot)
    refused = clinic.paul.books(slot, expect=409)
    assert refused.json()["code"] == "slot_already_yours"
    assert refused.headers["location"] == f"/consultations/{consultation['id']}"


def test_overlapping_consultation_is_409_patient_overlap(clinic: Clinic) -> None:
    starts_at = some_time()
    first, second = clinic.dora.offers(starts_at), clinic.dev.offers(starts_at + timedelta(minutes=15))
    clinic.paul.has_booked(first)
    key = fresh_key()
    assert clinic.paul.books(second, key=key, expect=409).json()["code"] == "patient_overlap"
    assert clinic.paul.books(second, key=key, expect=409).headers["idempotency-replayed"] == "true"
    clinic.petra.books(second, expect=201)


def test_overlap_of_several_consultations_is_409_patient_overlap(clinic: Clinic) -> None:
    starts_at = some_time()
    for minutes in (0, 30):
        clinic.paul.has_booked(clinic.dora.offers(starts_at + timedelta(minutes=minutes)))
    long = clinic.dev.offers(starts_at, minutes=60)
    assert clinic.paul.books(long, expect=409).json()["code"] == "patient_overlap"
    assert clinic.petra.books(long, expect=201)


def test_absent_slot_is_404_slot_not_found_and_keeps_it(clinic: Clinic) -> None:
    key = fresh_key()
    refused = clinic.paul.books(ABSENT, key=key, expect=404)
    assert refused.json()["code"] == "slot_not_found"
    again = clinic.paul.books(ABSENT, key=key, expect=404)
    assert again.headers["idempotency-replayed"] == "true"


def test_slot_of_another_clinic_is_told_like_an_absent_one(clinic: Clinic, elsewhere: Clinic) -> None:
    foreign = elsewhere.dora.offers()
    refused, absent = clinic.paul.books(foreign, expect=404), clinic.paul.books(ABSENT, expect=404)
    assert {**refused.json(), "request_id": ""} == {**absent.json(), "request_id": ""}
    elsewhere.paul.books(foreign, expect=201)


def test_withdrawn_slot_is_404_slot_not_found(clinic: Clinic) -> None:
    slot = clinic.dora.offers()
    clinic.dora.deletes(f"/availability/{slot['id']}", expect=204)
    assert clinic.paul.books(slot, expect=404).json()["code"] == "slot_not_found"


def test_completed_slot_is_still_409_slot_already_yours(clinic: Clinic) -> None:
    slot = clinic.dora.offers()
    consultation = clinic.paul.has_booked(slot)
    clinic.dora.completes(consultation, expect=200)
    refused = clinic.paul.books(slot, expect=409)
    assert refused.json()["code"] == "slot_already_yours"
    assert refused.headers["location"] == f"/consultations/{consultation['id']}"


def test_replayed_refusal_bears_its_location(clinic: Clinic) -> None:
    slot, key = clinic.dora.offers(), fresh_key()
    clinic.paul.has_booked(slot)
    first, again = (clinic.paul.books(slot, key=key, expect=409) for _ in range(2))
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]


def test_slot_that_has_begun_is_409_slot_unavailable(clinic: Clinic, owner: psycopg.Connection) -> None:
    slot = clinic.dora.offers()
    begin_slot(owner, slot)
    assert clinic.paul.books(slot, expect=409).json()["code"] == "slot_unavailable"
    assert slot_status(owner, slot["id"]) == "open"


def test_slot_of_an_inactive_doctor_is_409_slot_unavailable(clinic: Clinic) -> None:
    slot = clinic.dora.offers()
    clinic.amara.patches(f"/users/{clinic.dora.id}", {"is_active": False}, expect=200)
    assert clinic.paul.books(slot, expect=409).json()["code"] == "slot_unavailable"
    clinic.amara.patches(f"/users/{clinic.dora.id}", {"is_active": True}, expect=200)
    clinic.paul.books(slot, expect=201)


def test_own_slot_comes_before_unavailable_and_overlap(clinic: Clinic, owner: psycopg.Connection) -> None:
    slot = clinic.dora.offers()
    clinic.paul.has_booked(slot)
    clinic.amara.patches(f"/users/{clinic.dora.id}", {"is_active": False}, expect=200)
    begin_slot(owner, slot)
    assert clinic.paul.books(slot, expect=409).json()["code"] == "slot_already_yours"


def test_unavailable_comes_before_overlap(clinic: Clinic) -> None:
    starts_at = some_time()
    clinic.paul.has_booked(clinic.dora.offers(starts_at))
    taken = clinic.dev.offers(starts_at)
    clinic.petra.has_booked(taken)
    assert clinic.paul.books(taken, expect=409).json()["code"] == "slot_unavailable"


def test_refused_booking_leaves_its_key_and_nothing_else(clinic: Clinic, owner: psycopg.Connection) -> None:
    clinic.paul.has_booked(slot := clinic.dora.offers())
    before = {table: rows_of(owner, table, clinic) for table in ("consultations", "outbox", "idempotency_keys")}
    clinic.petra.books(slot, expect=409)
    after = {table: rows_of(owner, table, clinic) for table in before}
    assert after == {**before, "idempotency_keys": before["idempotency_keys"] + 1}
