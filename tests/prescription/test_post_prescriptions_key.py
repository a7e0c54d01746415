"""`POST /prescriptions/`: the same rules for the key as when booking."""

import psycopg
import pytest

from tests.cast import Clinic, fresh_key, iso, prescription_for, some_time
from tests.patience import at_once
from tests.prescription.test_post_prescriptions import held_consultation
from tests.tables import age_key, held, rows_of

TOO_LARGE = b" " * (64 * 1024 + 1)


def test_missing_key_is_400(clinic: Clinic) -> None:
    refused = clinic.dora.posts("/prescriptions/", prescription_for("x"), expect=400)
    assert refused.json()["code"] == "idempotency_key_missing"


@pytest.mark.parametrize("key", ["", "1234567", "x" * 256, "with space"])
def test_malformed_key_is_400(clinic: Clinic, key: str) -> None:
    refused = clinic.dora.posts("/prescriptions/", prescription_for("x"), headers={"idempotency-key": key}, expect=400)
    assert refused.json()["code"] == "idempotency_key_invalid"


def test_checks_come_in_the_order_of_the_contract(clinic: Clinic) -> None:
    wrong = {"content": TOO_LARGE, "headers": {"content-type": "text/plain"}}
    assert clinic.nobody.sends("POST", "/prescriptions/", **wrong).json()["code"] == "body_too_large"
    wrong["content"] = b"{}"
    assert clinic.nobody.sends("POST", "/prescriptions/", **wrong).json()["code"] == "unauthenticated"
    assert clinic.paul.sends("POST", "/prescriptions/", **wrong).json()["code"] == "forbidden"
    assert clinic.dora.sends("POST", "/prescriptions/", **wrong).json()["code"] == "unsupported_media_type"
    wrong["headers"] = {"content-type": "application/json"}
    assert clinic.dora.sends("POST", "/prescriptions/", **wrong).json()["code"] == "idempotency_key_missing"
    wrong["headers"] = {"content-type": "application/json", "idempotency-key": fresh_key()}
    assert clinic.dora.sends("POST", "/prescriptions/", **wrong).json()["code"] == "validation_error"


def test_retry_gets_the_first_answer(clinic: Clinic, owner: psycopg.Connection) -> None:
    consultation, key = held_consultation(clinic), fresh_key()
    first = clinic.dora.prescribes(consultation, key=key, expect=201)
    again = clinic.dora.prescribes(consultation, key=key, expect=201)
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    assert rows_of(owner, "prescriptions", clinic) == 1


def test_order_of_names_does_not_matter(clinic: Clinic) -> None:
    consultation, key = held_consultation(clinic), fresh_key()
    body = prescription_for(consultation["id"], notes=None)
    first = clinic.dora.posts("/prescriptions/", body, key=key, expect=201)
    item = dict(reversed(body["items"][0].items()))
    turned = {"items": [item], "consultation_id": body["consultation_id"].upper()}
    assert clinic.dora.posts("/prescriptions/", turned, key=key, expect=201).content == first.content


def test_other_body_is_422_and_changes_nothing(clinic: Clinic, owner: psycopg.Connection) -> None:
    consultation, key = held_consultation(clinic), fresh_key()
    clinic.dora.prescribes(consultation, key=key, expect=201)
    other = prescription_for(consultation["id"], notes="More")
    refused = clinic.dora.posts("/prescriptions/", other, key=key, expect=422)
    assert refused.json()["code"] == "idempotency_key_reused"
    assert rows_of(owner, "prescriptions", clinic) == 1


def test_key_is_scoped_to_the_operation(clinic: Clinic) -> None:
    consultation, key, starts_at = held_consultation(clinic), fresh_key(), some_time()
    slot = {"starts_at": iso(starts_at), "ends_at": iso(some_time())}
    later = {"starts_at": iso(some_time()), "ends_at": iso(some_time())}
    answers = [
        clinic.dora.posts("/availability/", slot, key=key, expect=201),
        clinic.dora.posts("/availability/bulk", {"slots": [later]}, key=key, expect=201),
        clinic.dora.prescribes(consultation, key=key, expect=201),
    ]
    assert not any("idempotency-replayed" in answer.headers for answer in answers)


def test_equal_keys_of_two_doctors_are_unrelated(clinic: Clinic) -> None:
    key = fresh_key()
    ours = held_consultation(clinic)
    theirs = clinic.dev.completes(clinic.petra.has_booked(clinic.dev.offers()), expect=200).json()
    clinic.dora.prescribes(ours, key=key, expect=201)
    assert "idempotency-replayed" not in clinic.dev.prescribes(theirs, key=key, expect=201).headers


def test_equal_keys_at_once_prescribe_once_and_answer_alike(clinic: Clinic, owner: psycopg.Connection) -> None:
    consultation, key = held_consultation(clinic), fresh_key()
    sessions = [clinic.dora.in_another_session() for _ in range(6)]
    answers = at_once([lambda dora=dora: dora.prescribes(consultation, key=key, expect=201) for dora in sessions])
    assert len({answer.content for answer in answers}) == 1
    assert sorted("idempotency-replayed" in answer.headers for answer in answers) == [False] + [True] * 5
    assert rows_of(owner, "prescriptions", clinic) == 1


def test_key_in_flight_for_long_is_409(clinic: Clinic, database_url: str, owner: psycopg.Connection) -> None:
    consultation, key = held_consultation(clinic), fresh_key()
    claim = (
        "INSERT INTO idempotency_keys (clinic_id, user_id, operation, key, fingerprint)"
        " VALUES (%s, %s, 'issue_prescription', %s, 'x')"
    )
    with held(database_url, claim, [clinic.id, clinic.dora.id, key]):
        refused = clinic.dora.prescribes(consultation, key=key, expect=409)
    assert refused.json()["code"] == "idempotency_in_flight"
    assert refused.headers["retry-after"]
    clinic.dora.prescribes(consultation, key=key, expect=201)


def test_older_key_is_409_idempotency_key_expired(clinic: Clinic, owner: psycopg.Connection) -> None:
    consultation, key = held_consultation(clinic), fresh_key()
    first = clinic.dora.prescribes(consultation, key=key, expect=201)
    age_key(owner, key, days=7.01)
    refused = clinic.dora.prescribes(consultation, key=key, expect=409)
    assert refused.json()["code"] == "idempotency_key_expired"
    assert refused.headers["location"] == first.headers["location"]


def test_key_whose_row_is_gone_executes_nothing(clinic: Clinic, owner: psycopg.Connection) -> None:
    consultation, other, key = held_consultation(clinic), held_consultation(clinic), fresh_key()
    first = clinic.dora.prescribes(consultation, key=key, expect=201)
    owner.execute("DELETE FROM idempotency_keys WHERE key = %s", [key])
    refused = clinic.dora.prescribes(other, key=key, expect=409)
    assert refused.json()["code"] == "idempotency_key_expired"
    assert refused.headers["location"] == first.headers["location"]
