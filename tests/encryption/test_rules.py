import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.encryption.rules import PRESCRIPTION, REVIEW_NOTE, KeyRing, Writing
from app.kit.errors import Unavailable
from app.kit.sealing import SealBroken

OLD, NEW = "an-old-secret-of-the-clinic-0123456789", "a-new-secret-of-the-clinic-0123456789"
WRITING = Writing(PRESCRIPTION, 7, uuid.UUID(int=1))
TEXT = st.text() | st.none()


@given(items=st.text(), notes=TEXT)
def test_what_was_sealed_opens(items: str, notes: str | None) -> None:
    ring = KeyRing([OLD])
    sealed = ring.seal(WRITING, items=items, notes=notes)
    key = sealed.pop("data_key")
    assert key is not None
    assert ring.unseal(WRITING, key, sealed) == {"items": items, "notes": notes}


def test_nothing_to_seal_needs_no_key() -> None:
    assert KeyRing([OLD]).seal(WRITING, cancel_reason=None) == {"cancel_reason": None, "data_key": None}


def test_empty_text_is_text() -> None:
    assert KeyRing([OLD]).seal(WRITING, notes="")["data_key"] is not None


@pytest.mark.parametrize(
    "elsewhere", [{"part": REVIEW_NOTE}, {"clinic_id": 8}, {"record_id": uuid.UUID(int=2)}], ids=str
)
def test_it_opens_nowhere_else(elsewhere: dict[str, object]) -> None:
    ring = KeyRing([OLD])
    sealed = ring.seal(WRITING, notes="text")
    with pytest.raises(SealBroken):
        ring.unseal(replace(WRITING, **elsewhere), sealed.pop("data_key"), sealed)  # type: ignore[arg-type]


def test_it_opens_under_no_other_column() -> None:
    ring = KeyRing([OLD])
    sealed = ring.seal(WRITING, notes="text")
    with pytest.raises(SealBroken):
        ring.unseal(WRITING, sealed["data_key"], {"items": sealed["notes"]})


def test_any_secret_of_the_ring_opens_and_the_first_one_wraps() -> None:
    sealed = KeyRing([OLD]).seal(WRITING, notes="text")
    both = KeyRing([NEW, OLD])
    key = sealed.pop("data_key")
    assert key is not None
    assert both.unseal(WRITING, key, sealed) == {"notes": "text"}
    wrapped = both.rewrap(key, WRITING)
    assert KeyRing([NEW]).unseal(WRITING, wrapped, sealed) == {"notes": "text"}
    with pytest.raises(Unavailable):
        KeyRing([OLD]).unseal(WRITING, wrapped, sealed)


def test_two_texts_never_share_a_key_or_a_nonce() -> None:
    ring = KeyRing([OLD])
    made = [ring.seal(WRITING, items="same", notes="same") for _ in range(100)]
    values = [value for sealed in made for value in sealed.values()]
    assert len(set(values)) == len(values)
