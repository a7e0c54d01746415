"""`POST /bookings/`: what is booked, and by whom; refusals and the key's rules stand in the files beside this one."""

from datetime import timedelta

import pytest

from tests.cast import Clinic, fresh_key, some_time
from tests.patience import at_once


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


def test_consultations_that_touch_do_not_overlap(clinic: Clinic) -> None:
    starts_at = some_time()
    middle = clinic.dora.offers(starts_at, minutes=20)
    before = clinic.dev.offers(starts_at - timedelta(minutes=20), minutes=20)
    after = clinic.dev.offers(starts_at + timedelta(minutes=20), minutes=20)
    for slot in (middle, before, after):
        clinic.paul.has_booked(slot)


def test_cancelled_consultation_does_not_overlap(clinic: Clinic) -> None:
    starts_at = some_time()
    clinic.paul.cancels(clinic.paul.has_booked(clinic.dora.offers(starts_at)), expect=200)
    clinic.paul.has_booked(clinic.dev.offers(starts_at))


def test_slot_can_be_booked_anew_after_a_cancellation(clinic: Clinic) -> None:
    slot = clinic.dora.offers()
    first = clinic.paul.has_booked(slot)
    clinic.paul.cancels(first, expect=200)
    assert clinic.paul.has_booked(slot)["id"] != first["id"]


@pytest.mark.parametrize("name", ["dora", "amara"])
def test_somebody_who_is_no_patient_gets_403(clinic: Clinic, name: str) -> None:
    slot = clinic.dev.offers()
    assert getattr(clinic, name).books(slot, expect=403).json()["code"] == "forbidden"
    clinic.paul.books(slot, expect=201)


def test_no_body_at_all_is_422(clinic: Clinic) -> None:
    refused = clinic.paul.sends("POST", "/bookings/", key=fresh_key(), expect=422)
    assert refused.json()["errors"] == [{"field": "body", "message": "Field required"}]


@pytest.mark.parametrize(
    "body",
    [{}, {"slot_id": None}, {"slot_id": "10"}, {"slot_id": True}, {"slot_id": 1.0}, {"slot_id": 0}, {"slot_id": -1},
     {"slot_id": 2**63}, {"slot_id": 1, "patient_id": "x"}, [], 10, "10"],
)  # fmt: skip
def test_malformed_body_is_422(clinic: Clinic, body: object) -> None:
    refused = clinic.paul.posts("/bookings/", body, key=fresh_key(), expect=422).json()
    assert refused["code"] == "validation_error"
    assert refused["errors"][0]["field"].startswith("body")


def test_of_many_patients_exactly_one_gets_the_slot(clinic: Clinic) -> None:
    slot = clinic.dora.offers()
    patients = [clinic.hires(f"patient-{number}", role="patient") for number in range(8)]
    answers = at_once([lambda patient=patient: patient.books(slot) for patient in patients])
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"slot_unavailable"}


def test_of_many_overlapping_slots_a_patient_gets_exactly_one(clinic: Clinic) -> None:
    starts_at = some_time()
    doctors = [clinic.hires(f"doctor-{number}", role="doctor") for number in range(6)]
    slots = [doctor.offers(starts_at) for doctor in doctors]
    answers = at_once([lambda slot=slot: clinic.paul.books(slot) for slot in slots])
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 5
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"patient_overlap"}
