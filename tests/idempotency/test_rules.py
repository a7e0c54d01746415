"""What a key looks like, and when two requests are one (rules 1, 4 and 10 of the contract's *Booking*)."""

import string
from datetime import timedelta

import pytest

from app.idempotency.rules import ANSWER_KEPT, fingerprint, is_well_formed

SECRET = b"a secret of thirty-two bytes ..."
BODY = {"slot_id": 10, "note": "ü"}


@pytest.mark.parametrize("length", [8, 9, 36, 254, 255])
def test_8_to_255_visible_characters_are_a_key(length: int) -> None:
    assert is_well_formed("k" * length)


@pytest.mark.parametrize(
    "value", ["", "k" * 7, "k" * 256, "with space", "with\ttab", "newline8\n", "umläutlich", "\x7fdelete0"]
)
def test_anything_else_is_none(value: str) -> None:
    assert not is_well_formed(value)


def test_every_visible_character_may_stand_in_one() -> None:
    assert is_well_formed(string.digits + string.ascii_letters + string.punctuation)


def test_answer_is_kept_for_7_days() -> None:
    assert timedelta(days=7) == ANSWER_KEPT


def test_order_of_names_does_not_matter() -> None:
    turned = dict(reversed(BODY.items()))
    assert fingerprint(SECRET, operation="book", body=turned) == fingerprint(SECRET, operation="book", body=BODY)


def test_operation_body_and_secret_do() -> None:
    others = {
        fingerprint(SECRET, operation="book", body=BODY),
        fingerprint(SECRET, operation="offer", body=BODY),
        fingerprint(SECRET, operation="book", body={**BODY, "slot_id": 11}),
        fingerprint(SECRET, operation="book", body={"slot_id": 10}),
        fingerprint(b"another secret", operation="book", body=BODY),
    }
    assert len(others) == 5


def test_fingerprint_is_the_same_in_every_release() -> None:
    """A key that was used before an update is replayed after it."""
    known = "7a37dfb80a9089cc455d9bf8ac3a72d9097e956d5cf1e4d534f4277c4138ec00"
    assert fingerprint(SECRET, operation="book_slot", body=BODY).hex() == known
