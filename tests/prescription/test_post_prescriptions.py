"""`POST /prescriptions/`: what is prescribed, by whom, and what is refused."""

import uuid
from typing import Any

import psycopg
import pytest
from psycopg import errors

from tests.cast import Clinic, fresh_key, prescription_for
from tests.patience import at_once
from tests.tables import rows_of

ITEM = prescription_for("")["items"][0]
FULL_ITEM = {**ITEM, "instructions": "With a glass of water, not with milk."}


def held_consultation(clinic: Clinic) -> dict[str, Any]:
    """Paul's consultation that Dora has completed."""
    return dict(clinic.dora.completes(clinic.paul.has_booked(clinic.dora.offers()), expect=200).json())


def test_doctor_prescribes_after_the_consultation(clinic: Clinic) -> None:
    consultation = held_consultation(clinic)
    body = prescription_for(consultation["id"], items=[FULL_ITEM, ITEM], notes="See you in a week.")
    answer = clinic.dora.posts("/prescriptions/", body, key=fresh_key(), expect=201)
    prescription = answer.json()
    assert prescription == {
        "id": prescription["id"],
        "consultation_id": consultation["id"],
        "doctor_id": clinic.dora.id,
        "patient_id": clinic.paul.id,
        "items": [FULL_ITEM, {**ITEM, "instructions": None}],
        "notes": "See you in a week.",
        "created_at": prescription["created_at"],
    }
    assert answer.headers["location"] == f"/prescriptions/{prescription['id']}"
    assert "idempotency-replayed" not in answer.headers


@pytest.mark.parametrize("state", ["scheduled", "cancelled"])
def test_consultation_that_is_not_completed_is_409(clinic: Clinic, state: str) -> None:
    consultation = clinic.paul.has_booked(clinic.dora.offers())
    if state == "cancelled":
        clinic.dora.cancels(consultation, expect=200)
    assert clinic.dora.prescribes(consultation, expect=409).json()["code"] == "consultation_not_completed"


def test_refusal_sticks_to_its_key(clinic: Clinic) -> None:
    consultation, key = clinic.paul.has_booked(clinic.dora.offers()), fresh_key()
    first = clinic.dora.prescribes(consultation, key=key, expect=409)
    clinic.dora.completes(consultation, expect=200)
    again = clinic.dora.prescribes(consultation, key=key, expect=409)
    assert again.headers["idempotency-replayed"] == "true"
    assert {**again.json(), "request_id": ""} == {**first.json(), "request_id": ""}
    clinic.dora.prescribes(consultation, expect=201)


def test_second_prescription_is_409_prescription_exists(clinic: Clinic, owner: psycopg.Connection) -> None:
    consultation = held_consultation(clinic)
    clinic.dora.prescribes(consultation, expect=201)
    key = fresh_key()
    assert clinic.dora.prescribes(consultation, key=key, expect=409).json()["code"] == "prescription_exists"
    assert clinic.dora.prescribes(consultation, key=key, expect=409).headers["idempotency-replayed"] == "true"
    assert rows_of(owner, "prescriptions", clinic) == 1


def test_consultation_of_another_doctor_is_404_like_an_absent_one(clinic: Clinic) -> None:
    consultation, key = held_consultation(clinic), fresh_key()
    refused = clinic.dev.prescribes(consultation, key=key, expect=404)
    absent = clinic.dev.prescribes({"id": str(uuid.uuid4())}, expect=404)
    assert refused.json()["code"] == "not_found"
    assert {**refused.json(), "request_id": ""} == {**absent.json(), "request_id": ""}
    assert clinic.dev.prescribes(consultation, key=key, expect=404).headers["idempotency-replayed"] == "true"


def test_stranger_cannot_tell_a_consultation_that_has_a_prescription(clinic: Clinic) -> None:
    consultation = held_consultation(clinic)
    clinic.dora.prescribes(consultation, expect=201)
    assert clinic.dev.prescribes(consultation, expect=404).json()["code"] == "not_found"


def test_consultation_of_another_clinic_is_404(clinic: Clinic, elsewhere: Clinic) -> None:
    assert elsewhere.dora.prescribes(held_consultation(clinic), expect=404).json()["code"] == "not_found"


@pytest.mark.parametrize("name", ["paul", "amara"])
def test_somebody_who_is_no_doctor_gets_403(clinic: Clinic, name: str) -> None:
    consultation = held_consultation(clinic)
    assert getattr(clinic, name).prescribes(consultation, expect=403).json()["code"] == "forbidden"
    clinic.dora.prescribes(consultation, expect=201)


def test_of_many_prescriptions_at_once_exactly_one_is_issued(clinic: Clinic, owner: psycopg.Connection) -> None:
    consultation = held_consultation(clinic)
    sessions = [clinic.dora.in_another_session() for _ in range(6)]
    answers = at_once([lambda dora=dora: dora.prescribes(consultation) for dora in sessions])
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 5
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"prescription_exists"}
    assert rows_of(owner, "prescriptions", clinic) == 1


def test_prescribing_leaves_one_audit_row_and_one_event_in_its_transaction(
    clinic: Clinic, owner: psycopg.Connection
) -> None:
    key = fresh_key()
    prescription = clinic.dora.prescribes(held_consultation(clinic), key=key, expect=201).json()
    [row] = clinic.amara.audit_rows(action="prescription.created")
    assert (row["entity_id"], row["actor_id"], row["actor_role"]) == (prescription["id"], clinic.dora.id, "doctor")
    transactions = owner.execute(
        "SELECT xmin::text FROM prescriptions WHERE id = %(id)s"
        " UNION ALL SELECT xmin::text FROM audit_logs WHERE entity_id = %(id)s::text"
        " UNION ALL SELECT xmin::text FROM outbox WHERE entity_id = %(id)s::text AND topic = 'prescription.created'"
        " UNION ALL SELECT xmin::text FROM idempotency_keys WHERE key = %(key)s",
        {"id": prescription["id"], "key": key},
    ).fetchall()
    assert len(transactions) == 4
    assert len(set(transactions)) == 1


@pytest.mark.parametrize("count", [1, 50])
def test_one_to_fifty_items_are_good(clinic: Clinic, count: int) -> None:
    body = prescription_for(held_consultation(clinic)["id"], items=[FULL_ITEM] * count)
    assert len(clinic.dora.posts("/prescriptions/", body, key=fresh_key(), expect=201).json()["items"]) == count


def test_longest_texts_are_good(clinic: Clinic) -> None:
    item = dict.fromkeys(("medication", "dosage", "frequency"), "é" * 200)
    item |= {"duration_days": 3650, "instructions": "é" * 1000}
    body = prescription_for(held_consultation(clinic)["id"], items=[item], notes="é" * 10_000)
    prescription = clinic.dora.posts("/prescriptions/", body, key=fresh_key(), expect=201).json()
    assert (prescription["items"], prescription["notes"]) == ([item], "é" * 10_000)


BAD_ITEMS = {
    "no item": [],
    "51 items": [ITEM] * 51,
    "null": None,
    "a text": "Amoxicillin",
    "empty item": [{}],
    "unknown field": [{**ITEM, "price": 10}],
    "no medication": [{**ITEM, "medication": ""}],
    "blank dosage": [{**ITEM, "dosage": "   "}],
    "long medication": [{**ITEM, "medication": "x" * 201}],
    "long dosage": [{**ITEM, "dosage": "x" * 201}],
    "long frequency": [{**ITEM, "frequency": "x" * 201}],
    "NUL": [{**ITEM, "frequency": "3\0"}],
    "long instructions": [{**ITEM, "instructions": "x" * 1001}],
    "no days": [{**ITEM, "duration_days": 0}],
    "days as text": [{**ITEM, "duration_days": "7"}],
    "days as truth": [{**ITEM, "duration_days": True}],
    "half days": [{**ITEM, "duration_days": 7.5}],
    "endless days": [{**ITEM, "duration_days": 2**63}],
}


@pytest.mark.parametrize("items", BAD_ITEMS.values(), ids=BAD_ITEMS)
def test_bad_items_are_422_and_leave_the_key_free(clinic: Clinic, items: object) -> None:
    consultation, key = held_consultation(clinic), fresh_key()
    refused = clinic.dora.posts(
        "/prescriptions/", prescription_for(consultation["id"], items=items), key=key, expect=422
    )
    assert refused.json()["code"] == "validation_error"
    assert refused.json()["errors"][0]["field"].startswith("body.items")
    clinic.dora.prescribes(consultation, key=key, expect=201)


@pytest.mark.parametrize(
    "changes",
    [{"notes": "x" * 10_001}, {"notes": "\0"}, {"notes": 1}, {"consultation_id": "1"}, {"consultation_id": None},
     {"doctor_id": "x"}],
    ids=str,
)  # fmt: skip
def test_bad_body_is_422(clinic: Clinic, changes: dict[str, Any]) -> None:
    body = {**prescription_for(str(uuid.uuid4())), **changes}
    assert clinic.dora.posts("/prescriptions/", body, key=fresh_key(), expect=422).json()["code"] == "validation_error"


@pytest.mark.parametrize(
    "change",
    ["UPDATE prescriptions SET notes = 'x' WHERE id = %s", "UPDATE prescriptions SET items = '[]' WHERE id = %s",
     "DELETE FROM prescriptions WHERE id = %s"],
)  # fmt: skip
def test_nobody_edits_a_prescription(
    clinic: Clinic, owner: psycopg.Connection, as_application: psycopg.Connection, change: str
) -> None:
    prescription = clinic.dora.prescribes(held_consultation(clinic), expect=201).json()
    with pytest.raises(errors.CheckViolation):
        owner.execute(change, [prescription["id"]])
    with pytest.raises(errors.InsufficientPrivilege):
        as_application.execute(change, [prescription["id"]])


def test_nobody_truncates(owner: psycopg.Connection, as_application: psycopg.Connection) -> None:
    with pytest.raises(errors.CheckViolation):
        owner.execute("TRUNCATE prescriptions")
    with pytest.raises(errors.InsufficientPrivilege):
        as_application.execute("TRUNCATE prescriptions")


@pytest.mark.parametrize("status", ["completed", "scheduled"])
def test_database_refuses_a_prescription_of_an_open_consultation(
    clinic: Clinic, as_application: psycopg.Connection, status: str
) -> None:
    consultation = clinic.paul.has_booked(clinic.dora.offers())
    people = [consultation["doctor_id"], consultation["patient_id"]]
    with pytest.raises((errors.ForeignKeyViolation, errors.CheckViolation)):
        as_application.execute(
            "INSERT INTO prescriptions (clinic_id, id, consultation_id, doctor_id, patient_id, items, idempotency_key,"
            " consultation_status) VALUES (%s, %s, %s, %s, %s, '[]', 'x', %s)",
            [clinic.id, uuid.uuid4(), consultation["id"], *people, status],
        )
