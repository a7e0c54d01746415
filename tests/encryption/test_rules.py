import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.encryption.rules import CANCELLATION, EMERGENCY, PRESCRIPTION, REVIEW_NOTE, KeyRing, Writing
from app.kit import sealing
from app.kit.errors import Unavailable
from app.kit.sealing import SealBroken

OLD, NEW = "an-old-secret-of-the-clinic-0123456789", "a-new-secret-of-the-clinic-0123456789"
WRITING = Writing(PRESCRIPTION, 7, uuid.UUID(int=1))
TEXT = st.text() | st.none()
# Made by the first release; whoever changes how a key or a place is made can read nothing that is there.
OF_THE_FIRST_RELEASE = {
    "prescription": (
        "14056393963fff6d01fa7a8ce35fb0017d3a0f39b06c37de1c1adf6ef5c00bdf4048114489e5422726e756be76a129f3379a5d8dd8669f9ebb2b21a3b9bdda24d5a9394146",
        "018734b3c29153465cf26636669f517ddd92ff6636bb127d51b7e6459db1d7",
    ),
    "cancellation": (
        "14056393963fff6d012c56ba5914ddca96acca83fdb54ce244e02d563ffadf22494a7c8533e69550604c21cbb8c0f4af11621186f4807d2ba7628b9e1af19980259a0c51cc",
        "012fb44d5dde002c2981c3b69e122b781da8e3c17267b3fb8c95e2087b4e4d",
    ),
    "emergency": (
        "14056393963fff6d017a8ea33d6933baa7c4444e5813eaf908fd9040dd317c624e23a4787895374b6eeb023f948dfa3ed283fa0c99f3472f3f7c7203194382de859c4b8212",
        "0128232a9f1f48d65ec5edd58974056574dd60f4615311448f7b33acab43c0",
    ),
    "review": (
        "14056393963fff6d0160dcd33eef3c01202090411b24fccd90a062943689379f22f9b9037b0151fdfd5aa6d1375014261c2e34695f8c7729b68e880e54854760787260eaae",
        "01383f978b51406cef5e756ca55afe36aec2ddf68c12cbc5b7f844269d1b0a",
    ),
}


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


@pytest.mark.parametrize("part", [PRESCRIPTION, CANCELLATION, EMERGENCY, REVIEW_NOTE])
def test_what_the_first_release_sealed_opens(part: str) -> None:
    key, text = (bytes.fromhex(value) for value in OF_THE_FIRST_RELEASE[part])
    assert KeyRing([OLD]).unseal(replace(WRITING, part=part), key, {"text": text}) == {"text": "Ä"}
    assert KeyRing([OLD]).ids == [key[:8]]


def test_data_key_has_256_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[bytes] = []
    monkeypatch.setattr(sealing, "seal", lambda key, value, place: keys.append(key) or value)
    KeyRing([OLD]).seal(WRITING, notes="text")
    assert [len(key) for key in keys] == [32, 32]


def test_key_that_is_not_in_the_ring_is_told_as_such() -> None:
    sealed = KeyRing([OLD]).seal(WRITING, notes="text")
    with pytest.raises(Unavailable) as caught:
        KeyRing([NEW]).unseal(WRITING, sealed["data_key"], {"notes": sealed["notes"]})
    assert "must add it to FIELD_KEYS" in caught.value.detail
    assert caught.value.detail.endswith(".")


def test_text_whose_key_was_erased_is_gone() -> None:
    sealed = KeyRing([OLD]).seal(WRITING, items="text", notes=None)
    assert KeyRing([OLD]).unseal(WRITING, None, {"items": sealed["items"], "notes": None}) == {
        "items": None,
        "notes": None,
    }
