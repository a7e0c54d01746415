"""`POST /bookings/`, rules 1 to 3: what a key looks like, when it is looked at, and whose it is."""

import psycopg
import pytest

from tests.cast import Clinic, fresh_key
from tests.tables import rows_of

TOO_LARGE = b'{"slot_id": 1}' + b" " * 64 * 1024
MALFORMED = {
    "empty": b"",
    "7": b"1234567",
    "256": b"x" * 256,
    "space": b"with space",
    "tab": b"tab\tinside",
    "non-ascii": "clé-0001".encode(),
    "delete": b"key-\x7f-key",
    "nul": b"key-\x00-key",
}


def test_missing_key_is_400_idempotency_key_missing(clinic: Clinic) -> None:
    refused = clinic.paul.posts("/bookings/", {"slot_id": 1}, expect=400)
    assert refused.json()["code"] == "idempotency_key_missing"


@pytest.mark.parametrize("key", MALFORMED.values(), ids=MALFORMED)
def test_malformed_key_is_400_idempotency_key_invalid(clinic: Clinic, key: bytes) -> None:
    refused = clinic.paul.posts("/bookings/", {"slot_id": 1}, headers={b"idempotency-key": key}, expect=400)
    assert refused.json()["code"] == "idempotency_key_invalid"


@pytest.mark.parametrize("second", ["the-same-key", "another-key"])
def test_repeated_key_is_400_idempotency_key_invalid(clinic: Clinic, second: str) -> None:
    headers = [
        ("authorization", f"Bearer {clinic.paul.token}"),
        ("idempotency-key", "the-same-key"),
        ("idempotency-key", second),
    ]
    refused = clinic.client.post("/bookings/", headers=headers, json={"slot_id": 1})
    assert (refused.status_code, refused.json()["code"]) == (400, "idempotency_key_invalid")


@pytest.mark.parametrize("key", ["12345678", "x" * 255, "!~#$%&'()*+,-./:;<=>?@[]^_`{|}", '"quoted-key"', "a,b,c,d,e"])
def test_key_of_8_to_255_visible_characters_is_good(clinic: Clinic, key: str) -> None:
    slot = clinic.dora.offers()
    assert clinic.paul.books(slot, key=key, expect=201).content == clinic.paul.books(slot, key=key, expect=201).content


def test_checks_come_in_the_order_of_the_contract(clinic: Clinic) -> None:
    wrong = {"content": TOO_LARGE, "headers": {"content-type": "text/plain", "idempotency-key": "short"}}
    assert clinic.nobody.sends("POST", "/bookings/", **wrong).json()["code"] == "body_too_large"
    wrong["content"] = b'{"slot_id": "x"}'
    assert clinic.nobody.sends("POST", "/bookings/", **wrong).json()["code"] == "unauthenticated"
    assert clinic.dora.sends("POST", "/bookings/", **wrong).json()["code"] == "forbidden"
    assert clinic.paul.sends("POST", "/bookings/", **wrong).json()["code"] == "unsupported_media_type"
    wrong["headers"] = {"content-type": "application/json", "idempotency-key": "short"}
    assert clinic.paul.sends("POST", "/bookings/", **wrong).json()["code"] == "idempotency_key_invalid"
    wrong["headers"] = {"content-type": "application/json", "idempotency-key": fresh_key()}
    assert clinic.paul.sends("POST", "/bookings/", **wrong).json()["code"] == "validation_error"


def test_what_fails_early_does_not_consume_the_key(clinic: Clinic, owner: psycopg.Connection) -> None:
    slot, key = clinic.dora.offers(), fresh_key()
    clinic.paul.sends("POST", "/bookings/", key=key, content=TOO_LARGE, expect=413)
    clinic.nobody.books(slot, key=key, expect=401)
    clinic.dora.books(slot, key=key, expect=403)
    clinic.paul.sends("POST", "/bookings/", key=key, content=b"slot_id=1", expect=415)
    clinic.paul.posts("/bookings/", {"slot_id": "ten"}, key=key, expect=422)
    clinic.paul.sends("POST", "/bookings/?dry_run=1", key=key, json={"slot_id": slot["id"]}, expect=422)
    assert rows_of(owner, "idempotency_keys", clinic) == 0
    assert "idempotency-replayed" not in clinic.paul.books(slot, key=key, expect=201).headers


def test_equal_keys_of_two_patients_are_unrelated(clinic: Clinic) -> None:
    key = fresh_key()
    ours, theirs = clinic.dora.offers(), clinic.dora.offers()
    first = clinic.paul.books(ours, key=key, expect=201)
    second = clinic.petra.books(theirs, key=key, expect=201)
    assert "idempotency-replayed" not in second.headers
    assert clinic.paul.books(ours, key=key, expect=201).content == first.content
    assert clinic.petra.books(theirs, key=key, expect=201).content == second.content


def test_equal_keys_in_two_clinics_are_unrelated(clinic: Clinic, elsewhere: Clinic) -> None:
    key = fresh_key()
    for place in (clinic, elsewhere):
        assert "idempotency-replayed" not in place.paul.books(place.dora.offers(), key=key, expect=201).headers


def test_key_differs_from_itself_in_other_letters(clinic: Clinic) -> None:
    key = fresh_key()
    clinic.paul.books(clinic.dora.offers(), key=key, expect=201)
    assert "idempotency-replayed" not in clinic.paul.books(clinic.dora.offers(), key=key.upper(), expect=201).headers
