"""How links are made, how long they are good, and what the mails say."""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from hashlib import sha256
from uuid import UUID

from app.identity.tokens import LinkToken
from app.kit.ids import uuid7
from app.mail.rules import Mail

# What the outbox says when a link is waiting to be mailed.
MADE = "link.made"
# What the key of the tokens is derived for.
KEY = "links"
NONCE_BYTES = 32


class Purpose(StrEnum):
    """What a link is good for."""

    RESET_PASSWORD = "reset_password"  # noqa: S105 - a word, not a password
    CONFIRM_EMAIL = "confirm_email"


# A mail may wait for a quarter of an hour where servers make strangers come twice (greylisting). A mailbox is opened
# by others later on; what a confirmation is worth to them is little.
LIFETIMES = {Purpose.RESET_PASSWORD: timedelta(hours=1), Purpose.CONFIRM_EMAIL: timedelta(days=7)}
# Enough for somebody whose first mail is late; a stranger fills no mailbox.
RESETS_AN_HOUR = 3


@dataclass(frozen=True, slots=True)
class Draft:
    """What is stored of a link that is about to be made. The token itself is made when the mail is written."""

    link_id: UUID
    nonce: bytes
    token_hash: bytes

    @property
    def values(self) -> Mapping[str, object]:
        """What the statement that makes it binds."""
        return {"link_id": self.link_id, "nonce": self.nonce, "token_hash": self.token_hash}


def draft(key: bytes, purpose: Purpose) -> Draft:
    """A link that nobody has."""
    link_id, nonce = uuid7(), secrets.token_bytes(NONCE_BYTES)
    return Draft(link_id, nonce, sha256(secret_of(key, purpose, link_id=link_id, nonce=nonce)).digest())


def secret_of(key: bytes, purpose: Purpose, *, link_id: UUID, nonce: bytes) -> bytes:
    """The 256-bit secret of a link: random for whoever lacks the key or the row."""
    return hmac.digest(key, b"%s/%s/%s" % (purpose.encode(), link_id.bytes, nonce), sha256)


def letter(purpose: Purpose, token: LinkToken, *, to: str, clinic: str, public_url: str) -> Mail:
    """The mail that brings a link.

    It has nothing in it that a stranger could have chosen, such as a name. The token is in the address's fragment,
    which browsers send to no server, and the address comes from a setting: one made of a request's `Host` header
    would lead wherever the asker likes.
    """
    subject, page, opening, closing = _WORDS[purpose]
    return Mail(
        to=to,
        subject=subject,
        text=f"{opening.format(clinic=clinic)}\n"
        f"\n"
        f"    {public_url}/{page}#token={token}\n"
        f"\n"
        f"Where no page opens, this is the code to give:\n"
        f"\n"
        f"    {token}\n"
        f"\n"
        f"{closing}\n",
    )


_WORDS = {
    Purpose.RESET_PASSWORD: (
        "Set a new password",
        "reset",
        (
            'Somebody asked to set a new password for your account at clinic "{clinic}".\n'
            "To set it, open this link within an hour. It is good once."
        ),
        "If it was not you who asked, do nothing: your password stays as it is.",
    ),
    Purpose.CONFIRM_EMAIL: (
        "Confirm your e-mail",
        "confirm",
        (
            'Somebody registered at clinic "{clinic}" with this e-mail.\n'
            "If it was you, confirm it: open this link within seven days. It is good once."
        ),
        "If it was not you, do nothing.",
    ),
}
