"""`POST /bookings/`: rules 1 to 10 of the contract."""

from datetime import timedelta

import psycopg

from tests.cast import Clinic, fresh_key, some_time


def test_patient_books_an_open_slot(clinic: Clinic) -> None:
    slot = clinic.dora.offers()
    response = clinic.paul.books(slot, expect=201)
    consultation = response.json()
    assert consultation["status"] == "scheduled"
    assert consultation["slot_id"] == slot["id"]
    assert consultation["doctor_id"] == clinic.dora.id
    assert consultation["patient_id"] == clinic.paul.id
    assert (consultation["starts_at"], consultation["ends_at"]) == (slot["starts_at"], slot["ends_at"])
    assert response.headers["location"] == f"/consultations/{consultation['id']}"
    assert "idempotency-replayed" not in response.headers


def test_retry_with_the_same_key_gets_the_first_answer(clinic: Clinic) -> None:
    slot, key = clinic.dora.offers(), fresh_key()
    first = clinic.paul.books(slot, key=key, expect=201)
    again = clinic.paul.books(slot, key=key, expect=201)
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"


def test_retry_after_a_cancellation_still_gets_the_first_answer(clinic: Clinic) -> None:
    slot, key = clinic.dora.offers(), fresh_key()
    first = clinic.paul.books(slot, key=key, expect=201)
    clinic.paul.cancels(first.json(), "I feel better", expect=200)
    again = clinic.paul.books(slot, key=key, expect=201)
    assert again.content == first.content


def test_second_patient_gets_409_slot_unavailable_and_keeps_it(clinic: Clinic) -> None:
    slot, key = clinic.dora.offers(), fresh_key()
    consultation = clinic.paul.has_booked(slot)
    refused = clinic.petra.books(slot, key=key, expect=409)
    assert refused.json()["code"] == "slot_unavailable"
    clinic.paul.cancels(consultation, expect=200)
    again = clinic.petra.books(slot, key=key, expect=409)
    assert again.headers["idempotency-replayed"] == "true"
    assert {**again.json(), "request_id": ""} == {**refused.json(), "request_id": ""}
    clinic.petra.books(slot, expect=201)


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


def test_key_whose_row_is_gone_executes_nothing(clinic: Clinic, owner: psycopg.Connection) -> None:
    slot, key = clinic.dora.offers(), fresh_key()
    consultation = clinic.paul.books(slot, key=key, expect=201).json()
    owner.execute("DELETE FROM idempotency_keys WHERE key = %s", [key])
    for target in (slot, clinic.dora.offers()):
        refused = clinic.paul.books(target, key=key)
        assert refused.status_code in (409, 422)
    owner.execute("DELETE FROM idempotency_keys WHERE key = %s", [key])
    refused = clinic.paul.books(clinic.dora.offers(), key=key, expect=409)
    assert refused.json()["code"] == "idempotency_key_expired"
    assert refused.headers["location"] == f"/consultations/{consultation['id']}"
