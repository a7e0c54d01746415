"""`PATCH /consultations/{id}/status`: who may bring a consultation from which state to which, and when."""

import uuid
from typing import Any

import psycopg
import pytest

from tests.cast import Clinic, Person, fresh_key
from tests.patience import at_once
from tests.tables import begun_consultation, rows_of, slot_status

STATES = ("scheduled", "completed", "cancelled")
PEOPLE = {"its patient": "paul", "its doctor": "dora", "admin": "amara"}
OK, REFUSED = (200, None), (409, "invalid_transition")

# (from, to) -> what its patient, its doctor and an admin get. Word for word the contract's table.
BEFORE_START = {
    ("scheduled", "completed"): ((403, "forbidden"), OK, (403, "forbidden")),
    ("scheduled", "cancelled"): (OK, OK, OK),
    ("scheduled", "scheduled"): (OK, OK, OK),
    ("completed", "completed"): (OK, OK, OK),
    ("cancelled", "cancelled"): (OK, OK, OK),
    ("completed", "scheduled"): (REFUSED, REFUSED, REFUSED),
    ("completed", "cancelled"): (REFUSED, REFUSED, REFUSED),
    ("cancelled", "scheduled"): (REFUSED, REFUSED, REFUSED),
    ("cancelled", "completed"): (REFUSED, REFUSED, REFUSED),
}
AFTER_START = {**BEFORE_START, ("scheduled", "cancelled"): ((409, "too_late"), OK, OK)}
CASES = [
    pytest.param(person, before, after, has_begun, *expected, id=f"{who}, {before} to {after}, {moment}")
    for moment, has_begun, table in (("before start", False, BEFORE_START), ("after start", True, AFTER_START))
    for (before, after), answers in table.items()
    for (who, person), expected in zip(PEOPLE.items(), answers, strict=True)
]


def consultation_in(
    clinic: Clinic, owner: psycopg.Connection, state: str, *, has_begun: bool = False
) -> dict[str, Any]:
    """Paul's consultation with Dora in this state."""
    if has_begun:
        consultation = begun_consultation(owner, clinic.dora, clinic.paul)
    else:
        consultation = clinic.paul.has_booked(clinic.dora.offers())
    if state != "scheduled":
        asks_for(clinic.dora, consultation, state, expect=200)
    return dict(clinic.dora.gets(f"/consultations/{consultation['id']}", expect=200).json())


def asks_for(person: Person, consultation: dict[str, Any], status: str, **request: Any) -> Any:
    return person.patches(f"/consultations/{consultation['id']}/status", {"status": status}, **request)


def test_the_table_knows_every_pair_of_states() -> None:
    assert set(BEFORE_START) == set(AFTER_START) == {(before, after) for before in STATES for after in STATES}


@pytest.mark.parametrize(("person", "before", "after", "has_begun", "status", "code"), CASES)
def test_transition(
    clinic: Clinic,
    owner: psycopg.Connection,
    person: str,
    before: str,
    after: str,
    has_begun: bool,
    status: int,
    code: str | None,
) -> None:
    consultation = consultation_in(clinic, owner, before, has_begun=has_begun)
    answer = asks_for(getattr(clinic, person), consultation, after, expect=status)
    assert answer.json().get("code") == code
    present = clinic.dora.gets(f"/consultations/{consultation['id']}", expect=200).json()
    assert present["status"] == (after if status == 200 else before)
    if status != 200 or before == after:
        assert present == consultation


@pytest.mark.parametrize("status", STATES)
@pytest.mark.parametrize("stranger", ["petra", "dev"])
def test_stranger_gets_404_whatever_they_ask_for(clinic: Clinic, stranger: str, status: str) -> None:
    consultation = clinic.paul.has_booked(clinic.dora.offers())
    refused = asks_for(getattr(clinic, stranger), consultation, status, expect=404).json()
    absent = asks_for(getattr(clinic, stranger), {"id": uuid.uuid4()}, status, expect=404).json()
    assert {**refused, "request_id": ""} == {**absent, "request_id": ""}


@pytest.mark.parametrize("name", ["amara", "dora", "paul"])
def test_people_of_another_clinic_get_404(clinic: Clinic, elsewhere: Clinic, name: str) -> None:
    consultation = clinic.paul.has_booked(clinic.dora.offers())
    asks_for(getattr(elsewhere, name), consultation, "cancelled", expect=404)


def test_completion_tells_when(clinic: Clinic) -> None:
    consultation = clinic.paul.has_booked(clinic.dora.offers())
    completed = clinic.dora.completes(consultation, expect=200).json()
    assert completed["completed_at"].endswith("Z")
    assert completed == {**consultation, "status": "completed", "completed_at": completed["completed_at"]}


def test_cancellation_tells_when_and_why(clinic: Clinic) -> None:
    consultation = clinic.paul.has_booked(clinic.dora.offers())
    cancelled = clinic.paul.cancels(consultation, "I feel better", expect=200).json()
    changes = {"status": "cancelled", "cancelled_at": cancelled["cancelled_at"], "cancel_reason": "I feel better"}
    assert cancelled == {**consultation, **changes}


def test_repeated_cancellation_keeps_the_first_reason(clinic: Clinic) -> None:
    consultation = clinic.paul.has_booked(clinic.dora.offers())
    first = clinic.paul.cancels(consultation, "I feel better", expect=200).json()
    assert clinic.dora.cancels(consultation, "I am ill", expect=200).json() == first


def test_cancellation_opens_the_slot_again(clinic: Clinic, owner: psycopg.Connection) -> None:
    slot = clinic.dora.offers()
    consultation = clinic.paul.has_booked(slot)
    clinic.amara.cancels(consultation, expect=200)
    assert slot_status(owner, slot["id"]) == "open"
    [again] = owner.execute(
        "SELECT s.xmin = c.xmin FROM availability_slots AS s, consultations AS c WHERE s.id = %s AND c.id = %s",
        [slot["id"], consultation["id"]],
    ).fetchall()
    assert again == (True,), "in the same transaction"
    clinic.petra.has_booked(slot)


def test_late_cancellation_leaves_the_slot_booked(clinic: Clinic, owner: psycopg.Connection) -> None:
    consultation = begun_consultation(owner, clinic.dora, clinic.paul)
    clinic.dora.cancels(consultation, expect=200)
    assert slot_status(owner, consultation["slot_id"]) == "booked"
    refused = clinic.petra.books(consultation["slot_id"], expect=409)
    assert refused.json()["code"] == "slot_unavailable"


def test_completion_leaves_the_slot_booked(clinic: Clinic, owner: psycopg.Connection) -> None:
    slot = clinic.dora.offers()
    clinic.dora.completes(clinic.paul.has_booked(slot), expect=200)
    assert slot_status(owner, slot["id"]) == "booked"


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_change_leaves_one_audit_row_and_one_event(clinic: Clinic, owner: psycopg.Connection, status: str) -> None:
    consultation = clinic.paul.has_booked(clinic.dora.offers())
    for _ in range(2):
        asks_for(clinic.dora, consultation, status, expect=200)
    [row] = clinic.amara.audit_rows(action=f"consultation.{status}")
    assert (row["entity_id"], row["actor_id"], row["actor_role"]) == (consultation["id"], clinic.dora.id, "doctor")
    query = "SELECT entity_id FROM outbox WHERE clinic_id = %s AND topic = %s"
    assert owner.execute(query, [clinic.id, f"consultation.{status}"]).fetchall() == [(consultation["id"],)]


def test_refused_change_writes_nothing_but_the_denial(clinic: Clinic, owner: psycopg.Connection) -> None:
    consultation = clinic.paul.has_booked(clinic.dora.offers())
    before = rows_of(owner, "outbox", clinic)
    clinic.paul.completes(consultation, expect=403)
    assert rows_of(owner, "outbox", clinic) == before
    [row] = clinic.amara.audit_rows(action="request.denied")
    assert (row["actor_id"], row["outcome"]) == (clinic.paul.id, "denied")


@pytest.mark.parametrize("attempt", range(5))
def test_of_complete_and_cancel_at_once_exactly_one_wins(clinic: Clinic, attempt: int) -> None:
    consultation = clinic.paul.has_booked(clinic.dora.offers())
    people = (clinic.dora, clinic.paul, clinic.amara)
    completed, *cancelled = at_once(
        [
            lambda: people[0].completes(consultation),
            lambda: people[1].cancels(consultation),
            lambda: people[2].cancels(consultation),
        ]
    )
    present = clinic.dora.gets(f"/consultations/{consultation['id']}", expect=200).json()
    assert completed.status_code == (200 if present["status"] == "completed" else 409)
    # Whoever wishes what the other one has done repeats the present state.
    assert {answer.status_code for answer in cancelled} == {200 if present["status"] == "cancelled" else 409}
    assert [present["completed_at"], present["cancelled_at"]].count(None) == 1


def test_slot_is_booked_once_however_cancelling_and_booking_race(clinic: Clinic, owner: psycopg.Connection) -> None:
    slot, key = clinic.dora.offers(), fresh_key()
    consultation, petra, paul = clinic.paul.has_booked(slot), clinic.petra, clinic.paul
    cancelled, booked = at_once([lambda: paul.cancels(consultation), lambda: petra.books(slot, key=key)])
    assert cancelled.status_code == 200
    assert slot_status(owner, slot["id"]) == ("booked" if booked.status_code == 201 else "open")


@pytest.mark.parametrize(
    "body",
    [{}, {"status": "open"}, {"status": None}, {"status": "COMPLETED"}, {"status": ["completed"]}, [],
     {"status": "cancelled", "reason": "x" * 1001}, {"status": "cancelled", "reason": "\0"},
     {"status": "cancelled", "reason": 1}, {"status": "cancelled", "cancel_reason": "x"}],
)  # fmt: skip
def test_malformed_body_is_422(clinic: Clinic, body: object) -> None:
    consultation = clinic.paul.has_booked(clinic.dora.offers())
    path = f"/consultations/{consultation['id']}/status"
    assert clinic.paul.patches(path, body, expect=422).json()["code"] == "validation_error"
    clinic.paul.patches(path, {"status": "cancelled", "reason": "x" * 1000}, expect=200)


@pytest.mark.parametrize("id", ["1", "x", "00000000-0000-0000-0000-00000000000", "%00"])
def test_malformed_id_is_404(clinic: Clinic, id: str) -> None:
    refused = clinic.dora.patches(f"/consultations/{id}/status", {"status": "completed"}, expect=404)
    assert refused.json()["code"] == "not_found"
