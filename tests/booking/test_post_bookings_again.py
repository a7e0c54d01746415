"""`POST /bookings/`, rules 4, 5, 7, 8 and 10: what a key answers when it is sent again."""

import psycopg
import pytest

from tests.cast import Clinic, fresh_key
from tests.patience import at_once
from tests.tables import age_key, rows_of, slot_status, until

ABSENT = 2**63 - 1


def test_other_body_under_the_key_is_422_and_changes_nothing(clinic: Clinic) -> None:
    first, other, key = clinic.dora.offers(), clinic.dora.offers(), fresh_key()
    booked = clinic.paul.books(first, key=key, expect=201)
    assert clinic.paul.books(other, key=key, expect=422).json()["code"] == "idempotency_key_reused"
    assert clinic.paul.books(first, key=key, expect=201).content == booked.content
    clinic.petra.books(other, expect=201)


def test_other_body_under_a_refused_key_is_422(clinic: Clinic) -> None:
    key, slot = fresh_key(), clinic.dora.offers()
    clinic.paul.books(ABSENT, key=key, expect=404)
    refused = clinic.paul.books(slot, key=key, expect=422).json()
    assert refused["code"] == "idempotency_key_reused"
    assert "errors" not in refused


def test_spaces_and_the_order_of_names_do_not_matter(clinic: Clinic) -> None:
    slot, key = clinic.dora.offers(), fresh_key()
    first = clinic.paul.books(slot, key=key, expect=201)
    spaced = f'\n{{  "slot_id"\t:  {slot["id"]} }}\r\n'.encode()
    media_type = {"content-type": "application/json; charset=utf-8"}
    again = clinic.paul.sends("POST", "/bookings/", key=key, content=spaced, headers=media_type, expect=201)
    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("change", ["completes", "cancels"])
def test_replay_tells_the_first_answer_whatever_has_happened(clinic: Clinic, change: str) -> None:
    slot, key = clinic.dora.offers(), fresh_key()
    first = clinic.paul.books(slot, key=key, expect=201)
    getattr(clinic.dora, change)(first.json(), expect=200)
    assert clinic.paul.books(slot, key=key, expect=201).content == first.content


def test_replay_writes_nothing(clinic: Clinic, owner: psycopg.Connection) -> None:
    slot, key = clinic.dora.offers(), fresh_key()
    clinic.paul.books(slot, key=key, expect=201)
    tables = ("consultations", "audit_logs", "outbox", "idempotency_keys")
    before = [rows_of(owner, table, clinic) for table in tables]
    clinic.paul.books(slot, key=key, expect=201)
    assert [rows_of(owner, table, clinic) for table in tables] == before


def test_replayed_problem_carries_the_present_request_id(clinic: Clinic) -> None:
    key = fresh_key()
    first = clinic.paul.books(ABSENT, key=key, headers={"X-Request-ID": "request-one"}, expect=404)
    again = clinic.paul.books(ABSENT, key=key, headers={"X-Request-ID": "request-two"}, expect=404)
    assert again.json() == {**first.json(), "request_id": "request-two"}
    assert again.headers["x-request-id"] == "request-two"


def test_replay_is_refused_to_somebody_deactivated(clinic: Clinic) -> None:
    slot, key = clinic.dora.offers(), fresh_key()
    clinic.paul.books(slot, key=key, expect=201)
    clinic.amara.patches(f"/users/{clinic.paul.id}", {"is_active": False}, expect=200)
    until(lambda: clinic.paul.books(slot, key=key).status_code == 401)
    clinic.amara.patches(f"/users/{clinic.paul.id}", {"is_active": True}, expect=200)
    assert clinic.paul.logs_in().books(slot, key=key, expect=201).headers["idempotency-replayed"] == "true"


def test_replay_is_refused_after_a_change_of_role(clinic: Clinic) -> None:
    key, petra = fresh_key(), clinic.petra
    petra.books(ABSENT, key=key, expect=404)
    clinic.amara.patches(f"/users/{petra.id}", {"role": "doctor"}, expect=200)
    until(lambda: petra.books(ABSENT, key=key).status_code == 401)
    assert petra.logs_in().books(ABSENT, key=key, expect=403).json()["code"] == "forbidden"


def test_answer_is_kept_for_seven_days(clinic: Clinic, owner: psycopg.Connection) -> None:
    slot, key = clinic.dora.offers(), fresh_key()
    first = clinic.paul.books(slot, key=key, expect=201)
    age_key(owner, key, days=6.99)
    assert clinic.paul.books(slot, key=key, expect=201).content == first.content


def test_older_key_is_409_idempotency_key_expired(clinic: Clinic, owner: psycopg.Connection) -> None:
    slot, key = clinic.dora.offers(), fresh_key()
    consultation = clinic.paul.books(slot, key=key, expect=201).json()
    age_key(owner, key, days=7.01)
    refused = clinic.paul.books(slot, key=key, expect=409)
    assert refused.json()["code"] == "idempotency_key_expired"
    assert refused.headers["location"] == f"/consultations/{consultation['id']}"


def test_older_refused_key_is_409_idempotency_key_expired(clinic: Clinic, owner: psycopg.Connection) -> None:
    slot, key = clinic.dora.offers(), fresh_key()
    consultation = clinic.petra.has_booked(slot)
    clinic.paul.books(slot, key=key, expect=409)
    clinic.petra.cancels(consultation, expect=200)
    age_key(owner, key, days=8)
    assert clinic.paul.books(slot, key=key, expect=409).json()["code"] == "idempotency_key_expired"


@pytest.mark.parametrize("is_same_slot", [True, False])
def test_key_whose_row_is_gone_executes_nothing(clinic: Clinic, owner: psycopg.Connection, is_same_slot: bool) -> None:
    slot, other, key = clinic.dora.offers(), clinic.dora.offers(), fresh_key()
    consultation = clinic.paul.books(slot, key=key, expect=201).json()
    owner.execute("DELETE FROM idempotency_keys WHERE key = %s", [key])
    refused = clinic.paul.books(slot if is_same_slot else other, key=key, expect=409)
    assert refused.json()["code"] == "idempotency_key_expired"
    assert refused.headers["location"] == f"/consultations/{consultation['id']}"
    clinic.petra.books(other, expect=201)


@pytest.mark.parametrize("days", [0, 8])
def test_reuse_of_a_key_whose_row_is_gone_is_told_the_same_each_time(
    clinic: Clinic, owner: psycopg.Connection, days: int
) -> None:
    """The reuse claims the key anew; the record is older than that, and is no answer to it."""
    slot, taken, key = clinic.dora.offers(), clinic.dora.offers(), fresh_key()
    first = clinic.paul.books(slot, key=key, expect=201)
    clinic.petra.has_booked(taken)
    owner.execute("DELETE FROM idempotency_keys WHERE key = %s", [key])
    refused = clinic.paul.books(taken, key=key, expect=409)
    age_key(owner, key, days=days)
    again = clinic.paul.books(taken, key=key, expect=409)
    for answer in (refused, again):
        assert answer.json()["code"] == "idempotency_key_expired"
        assert answer.headers["location"] == first.headers["location"]
        assert "idempotency-replayed" not in answer.headers


def test_reuses_at_once_of_a_key_whose_row_is_gone_execute_nothing(clinic: Clinic, owner: psycopg.Connection) -> None:
    slot, other, key = clinic.dora.offers(), clinic.dora.offers(), fresh_key()
    clinic.paul.books(slot, key=key, expect=201)
    owner.execute("DELETE FROM idempotency_keys WHERE key = %s", [key])
    sessions = [clinic.paul.in_another_session() for _ in range(6)]
    answers = at_once([lambda paul=paul, slot=s: paul.books(slot, key=key) for paul in sessions for s in (slot, other)])
    codes = {answer.json()["code"] for answer in answers}
    assert codes <= {"idempotency_key_expired", "idempotency_key_reused"}
    assert slot_status(owner, other["id"]) == "open"
    assert rows_of(owner, "consultations", clinic) == 1


def test_key_whose_answer_was_never_told_stays_refused(clinic: Clinic, owner: psycopg.Connection) -> None:
    slot, key = clinic.dora.offers(), fresh_key()
    consultation = clinic.petra.has_booked(slot)
    first = clinic.paul.books(slot, key=key, expect=409)
    owner.execute("UPDATE idempotency_keys SET outcome = NULL WHERE key = %s", [key])
    clinic.petra.cancels(consultation, expect=200)
    again = clinic.paul.books(slot, key=key, expect=409)
    assert {**again.json(), "request_id": ""} == {**first.json(), "request_id": ""}
