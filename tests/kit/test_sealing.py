import pytest

from app.kit.sealing import SealBroken, seal, unseal

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
PLACE = "totp_secrets.sealed/1/a"


def test_what_was_sealed_is_unsealed_at_its_place() -> None:
    sealed = seal(KEY, b"secret", place=PLACE)
    assert b"secret" not in sealed
    assert len(sealed) == len(b"secret") + 29
    assert unseal(KEY, sealed, place=PLACE) == b"secret"


def test_equal_values_look_different() -> None:
    assert seal(KEY, b"secret", place=PLACE) != seal(KEY, b"secret", place=PLACE)


@pytest.mark.parametrize(
    ("key", "place"), [(OTHER_KEY, PLACE), (KEY, "totp_secrets.sealed/1/b"), (KEY, "totp_secrets.other/1/a")]
)
def test_other_key_or_place_does_not_open_it(key: bytes, place: str) -> None:
    with pytest.raises(SealBroken):
        unseal(key, seal(KEY, b"secret", place=PLACE), place=place)


def test_any_changed_byte_breaks_it() -> None:
    sealed = seal(KEY, b"secret", place=PLACE)
    for place in range(len(sealed)):
        changed = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        with pytest.raises(SealBroken):
            unseal(KEY, changed, place=PLACE)


@pytest.mark.parametrize("length", [0, 1, 12, 13, 28])
def test_stump_is_no_seal(length: int) -> None:
    with pytest.raises(SealBroken):
        unseal(KEY, seal(KEY, b"", place=PLACE)[:length], place=PLACE)
