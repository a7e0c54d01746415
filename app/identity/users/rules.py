"""When two e-mails are the same, and what a slug and a time zone look like."""

import re
import unicodedata
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from uuid import UUID
from zoneinfo import available_timezones

from email_validator import EmailNotValidError, validate_email

DEFAULT_CLINIC = "main"
EMAIL_LENGTH_MAX = 254
# Three letters or digits in a row: what `%text%` can be looked up by in an index of trigrams.
_TRIGRAM = re.compile(r"[^\W_]{3}")
_SLUG = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class User:
    """A person in a clinic; never with the password's hash."""

    id: UUID
    email: str
    full_name: str
    role: str
    specialty: str | None
    is_active: bool
    time_zone: str
    created_at: datetime


def valid_email(text: str) -> str:
    """The e-mail without surrounding space, its domain in Unicode. Raises `ValueError` with a sentence."""
    try:
        # Syntax is checked, deliverability is not: an intranet's `.internal` and RFC 2606's `.test` are fine.
        email = validate_email(
            text.strip(), check_deliverability=False, globally_deliverable=False, test_environment=True
        )
    except EmailNotValidError as error:
        raise ValueError("is not an e-mail address") from error
    if "." not in email.domain:
        raise ValueError("is not an e-mail address")
    return email.normalized


def normalized_email(text: str) -> str:
    """The form under which e-mails are compared: without case, surrounding space or ways to write an accent."""
    with suppress(ValueError):
        # `@xn--mnchen-3ya.example` and `@münchen.example` are one; what is no e-mail is compared as it stands.
        text = valid_email(text)
    return unicodedata.normalize("NFKC", text.strip()).casefold()


def has_trigram(text: str) -> bool:
    """Whether the index of trigrams finds names that contain `text`; without one it would have to read them all."""
    return _TRIGRAM.search(text) is not None


def is_slug(text: str) -> bool:
    """Whether `text` can name a clinic: 1 to 63 of `a-z`, `0-9` and inner hyphens."""
    return _SLUG.fullmatch(text) is not None


@cache
def time_zones() -> frozenset[str]:
    """The IANA time zones."""
    return frozenset(available_timezones())
