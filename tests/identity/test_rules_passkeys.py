"""What is asked of an authenticator, and what its answers are worth."""

import hashlib
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from app.identity.passkeys import rules
from app.identity.passkeys.rules import Answer, NewPasskey, RelyingParty, counts_on, digest_of, is_same_password
from tests.identity.authenticator import HOST, ORIGIN, Authenticator, base64url

PARTY = RelyingParty.at(ORIGIN)
CHALLENGE = bytes(range(32))
DORA = UUID(int=9)
ASKED = {"challenge": base64url(CHALLENGE)}


def made_by(device: Authenticator) -> NewPasskey:
    made = rules.read_new_passkey(PARTY, device.creates(ASKED))
    assert made is not None
    return made


def read(device: Authenticator, credential: dict[str, Any], **changes: Any) -> int | None:
    asked = {"challenge": CHALLENGE, "public_key": made_by(device).public_key, "user_id": DORA, **changes}
    return rules.read_answer(PARTY, credential, **asked)


@pytest.mark.parametrize(
    ("url", "host", "origin"),
    [
        ("http://localhost:8000", "localhost", "http://localhost:8000"),
        ("https://clinic.example", "clinic.example", "https://clinic.example"),
        ("https://clinic.example:443/base", "clinic.example", "https://clinic.example"),
        ("http://clinic.example:80", "clinic.example", "http://clinic.example"),
        ("https://clinic.example:80", "clinic.example", "https://clinic.example:80"),
        ("http://clinic.example:443", "clinic.example", "http://clinic.example:443"),
        ("http://[::1]:8000", "::1", "http://[::1]:8000"),
    ],
)
def test_site_is_named_as_browsers_name_it(url: str, host: str, origin: str) -> None:
    assert RelyingParty.at(url) == RelyingParty(host, origin)


def test_challenge_is_32_random_bytes_good_for_5_minutes() -> None:
    assert {len(rules.fresh_challenge()) for _ in range(20)} == {32}
    assert len({rules.fresh_challenge() for _ in range(20)}) == 20
    assert timedelta(minutes=5) == rules.CHALLENGE_LIFETIME
    assert (rules.PASSKEYS_MAX, rules.CREDENTIAL_ID_BYTES_MAX) == (20, 1023)


def test_options_to_make_one() -> None:
    options = rules.creation_options(
        PARTY, challenge=CHALLENGE, user_id=DORA, email="dora@clinic.test", full_name="Dora", known=[b"known"]
    )
    assert options["rp"] == {"id": HOST, "name": "Telemed"}
    assert options["user"] == {"id": base64url(DORA.bytes), "name": "dora@clinic.test", "displayName": "Dora"}
    assert (options["challenge"], options["timeout"]) == (base64url(CHALLENGE), 300_000)
    assert [known["id"] for known in options["excludeCredentials"]] == [base64url(b"known")]
    # EdDSA, ES256, RS256: what authenticators have.
    assert [kind["alg"] for kind in options["pubKeyCredParams"]] == [-8, -7, -257]
    assert options["authenticatorSelection"]["userVerification"] == "preferred"
    assert options["authenticatorSelection"]["residentKey"] == "discouraged"


def test_options_to_answer() -> None:
    options = rules.request_options(PARTY, challenge=CHALLENGE, known=[b"known"])
    assert (options["rpId"], options["challenge"], options["timeout"]) == (HOST, base64url(CHALLENGE), 300_000)
    assert [known["id"] for known in options["allowCredentials"]] == [base64url(b"known")]
    assert options["userVerification"] == "preferred"


def test_passkey_that_was_made_is_read() -> None:
    device = Authenticator()
    made = made_by(device)
    assert (made.challenge, made.credential_id, made.sign_count) == (CHALLENGE, device.credential_id, 0)


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told["response"].pop("clientDataJSON"),
        lambda told: told["response"].update(clientDataJSON="bm8ganNvbg"),
        lambda told: told["response"].update(attestationObject="AAAA"),
        lambda told: told.update(id="AAAA"),
        lambda told: told.clear(),
    ],
)
def test_what_is_no_passkey_is_refused(change: Callable[[dict[str, Any]], None]) -> None:
    told = Authenticator().creates(ASKED)
    change(told)
    assert rules.read_new_passkey(PARTY, told) is None


def test_key_that_cannot_be_read_is_refused_before_it_locks_its_owner_out() -> None:
    device = Authenticator()
    off_the_curve = SimpleNamespace(public_numbers=lambda: SimpleNamespace(x=1, y=1))
    device._key = SimpleNamespace(public_key=lambda: off_the_curve)  # type: ignore[assignment]
    assert rules.read_new_passkey(PARTY, device.creates(ASKED)) is None


@pytest.mark.parametrize("length", [0, 31, 33])
def test_challenge_of_another_length_was_not_ours(length: int) -> None:
    assert rules.read_new_passkey(PARTY, Authenticator().creates({"challenge": base64url(bytes(length))})) is None


@pytest.mark.parametrize(("length", "is_read"), [(1, True), (1023, True), (1024, False)])
def test_no_authenticator_makes_longer_ids_than_1023_bytes(length: int, is_read: bool) -> None:
    device = Authenticator()
    device.credential_id = bytes(length)
    assert (rules.read_new_passkey(PARTY, device.creates(ASKED)) is not None) == is_read


@pytest.mark.parametrize("other", [{"origin": "http://localhost"}, {"host": "elsewhere"}])
def test_passkey_of_another_site_is_refused(other: dict[str, str]) -> None:
    assert rules.read_new_passkey(PARTY, Authenticator(**other).creates(ASKED)) is None  # type: ignore[arg-type]
    device = Authenticator()
    key = made_by(device).public_key
    device.origin, device.host = other.get("origin", ORIGIN), other.get("host", HOST)
    assert rules.read_answer(PARTY, device.answers(ASKED), challenge=CHALLENGE, public_key=key, user_id=DORA) is None


def test_answer_tells_the_counter() -> None:
    device = Authenticator()
    assert [read(device, device.answers(ASKED)) for _ in range(3)] == [1, 2, 3]
    synchronised = Authenticator(counts=False)
    assert read(synchronised, synchronised.answers(ASKED)) == 0


def test_answer_to_another_challenge_or_by_another_key_is_refused() -> None:
    device, stranger = Authenticator(), Authenticator()
    assert read(device, device.answers(ASKED), challenge=bytes(32)) is None
    assert read(device, stranger.answers(ASKED)) is None
    assert read(device, {}) is None


@pytest.mark.parametrize(("handle", "is_good"), [(None, True), (b"", True), (DORA.bytes, True), (bytes(16), False)])
def test_answer_names_nobody_else(handle: bytes | None, is_good: bool) -> None:
    device = Authenticator()
    assert (read(device, device.answers(ASKED, user_handle=handle)) is not None) == is_good


def test_credential_says_which_passkey_answers() -> None:
    device = Authenticator()
    assert rules.credential_id_of(device.answers(ASKED)) == device.credential_id
    assert rules.credential_id_of({"rawId": "A"}) is None


@pytest.mark.parametrize(
    ("told", "stored", "is_good"),
    [(0, 0, True), (1, 0, True), (1, 1, False), (2, 1, True), (1, 2, False), (0, 1, False), (7, 7, False)],
)
def test_counter_moves_on_or_was_never_there(told: int, stored: int, is_good: bool) -> None:
    assert counts_on(told, stored=stored) is is_good


def test_password_is_known_again_by_its_digest() -> None:
    assert digest_of("hash") == hashlib.sha256(b"hash").digest()
    assert is_same_password(digest_of("hash"), "hash") is True
    assert is_same_password(digest_of("hash"), "another") is False
    assert is_same_password(digest_of("hash"), None) is False


def test_answer_binds_what_the_statement_needs() -> None:
    values = Answer(CHALLENGE, DORA, 4).values
    assert values == {"challenge": CHALLENGE, "passkey_id": DORA, "sign_count": 4}
