"""How links are made, how long they are good, and what the mails say."""

from datetime import timedelta
from hashlib import sha256
from uuid import UUID

import pytest

from app.identity.links import rules
from app.identity.links.rules import LIFETIMES, RESETS_AN_HOUR, Purpose, draft, letter, secret_of
from app.identity.tokens import LinkToken

KEY, ID, NONCE = b"k" * 32, UUID(int=5), b"n" * 32
RESET, CONFIRM = Purpose.RESET_PASSWORD, Purpose.CONFIRM_EMAIL


def test_reset_is_good_for_an_hour_and_a_confirmation_for_a_week() -> None:
    assert {RESET: timedelta(hours=1), CONFIRM: timedelta(days=7)} == LIFETIMES
    assert set(Purpose) == LIFETIMES.keys()
    assert [purpose.value for purpose in Purpose] == ["reset_password", "confirm_email"]


def test_three_mails_an_hour() -> None:
    assert RESETS_AN_HOUR == 3


def test_draft_keeps_what_makes_the_secret_again_and_only_its_hash() -> None:
    drafts = [draft(KEY, RESET) for _ in range(20)]
    for made in drafts:
        secret = secret_of(KEY, RESET, link_id=made.link_id, nonce=made.nonce)
        assert len(secret) == len(made.nonce) == 32
        assert made.token_hash == sha256(secret).digest()
        assert made.values == {"link_id": made.link_id, "nonce": made.nonce, "token_hash": made.token_hash}
    assert len({made.nonce for made in drafts}) == len({made.link_id for made in drafts}) == 20


def test_secret_is_another_for_each_key_purpose_link_and_nonce() -> None:
    secrets = {
        secret_of(KEY, RESET, link_id=ID, nonce=NONCE),
        secret_of(b"another", RESET, link_id=ID, nonce=NONCE),
        secret_of(KEY, CONFIRM, link_id=ID, nonce=NONCE),
        secret_of(KEY, RESET, link_id=UUID(int=6), nonce=NONCE),
        secret_of(KEY, RESET, link_id=ID, nonce=b"another"),
    }
    assert len(secrets) == 5


def test_secret_is_the_same_in_every_release() -> None:
    """A link that was mailed before an update is good after it."""
    known = "c77de917713f86b46b01d898806f64ff381def940b9e04cfbe3d1f1cb6999064"
    assert secret_of(KEY, RESET, link_id=ID, nonce=NONCE).hex() == known


@pytest.mark.parametrize(
    ("purpose", "subject", "page", "words"),
    [
        (
            RESET,
            "Set a new password",
            "reset",
            (
                'Somebody asked to set a new password for your account at clinic "main".\n'
                "To set it, open this link within an hour. It is good once.\n\n"
                "    https://clinic.test/reset#token=1.dG9rZW4\n\n"
                "Where no page opens, this is the code to give:\n\n    1.dG9rZW4\n\n"
                "If it was not you who asked, do nothing: your password stays as it is.\n"
            ),
        ),
        (
            CONFIRM,
            "Confirm your e-mail",
            "confirm",
            (
                'Somebody registered at clinic "main" with this e-mail.\n'
                "If it was you, confirm it: open this link within seven days. It is good once.\n\n"
                "    https://clinic.test/confirm#token=1.dG9rZW4\n\n"
                "Where no page opens, this is the code to give:\n\n    1.dG9rZW4\n\n"
                "If it was not you, do nothing.\n"
            ),
        ),
    ],
)
def test_letter_tells_what_the_link_is_for_and_bears_it_in_the_fragment(
    purpose: Purpose, subject: str, page: str, words: str
) -> None:
    token = LinkToken(1, b"token")
    mail = letter(purpose, token, to="dora@clinic.test", clinic="main", public_url="https://clinic.test")
    assert f"/{page}#" in words
    assert (mail.to, mail.subject, mail.text) == ("dora@clinic.test", subject, words.replace("1.dG9rZW4", str(token)))


def test_links_that_wait_are_known_in_every_release() -> None:
    """By their topic in the outbox, and by a key that is made for the same purpose."""
    assert (rules.MADE, rules.KEY) == ("link.made", "links")
