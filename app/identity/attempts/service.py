"""Checking a password, at the pace of whoever tries."""

import math
from dataclasses import dataclass

from app.db.database import Database
from app.identity.attempts import sql
from app.identity.attempts.rules import PAIR, buckets_of
from app.identity.passwords import Passwords
from app.identity.users.rules import normalized_email
from app.kit.errors import RateLimited

# Of two attempts at once the later one is told to come back.
_RACED_WAIT_S = 1


@dataclass(frozen=True, slots=True)
class Attempts:
    """The attempts of one network; without a key nobody is slowed down."""

    db: Database
    passwords: Passwords
    key: bytes | None
    network: str

    async def verify(self, password: str, stored: str | None, *, clinic_id: int, email: str) -> bool:
        """Whether `password` made the hash `stored`. Raises `RateLimited` before it looks, and `Unavailable`.

        Counted before the password is looked at: a thousand guesses at once are a thousand. Known and unknown e-mails
        are counted alike, in all spellings.
        """
        counted = await self._admit(clinic_id, email)
        is_right = await self.passwords.verify(password, stored)
        if is_right and counted:
            await self.db.one(sql.FORGIVE, clinic_id=clinic_id, buckets=counted)
        return is_right

    async def welcome(self, *, clinic_id: int, email: str) -> None:
        """Whose account it is has shown so otherwise: here nobody's guesses keep them out, as after a login."""
        if self.key is not None:
            pair = self._buckets(clinic_id, email)[PAIR]
            await self.db.execute(sql.WELCOME, clinic_id=clinic_id, pair=pair)

    def _buckets(self, clinic_id: int, email: str) -> dict[str, bytes]:
        assert self.key is not None, "who counts has a key"
        return buckets_of(self.key, clinic_id=clinic_id, email_normalized=normalized_email(email), network=self.network)

    async def _admit(self, clinic_id: int, email: str) -> list[bytes]:
        if self.key is None:
            return []
        buckets = self._buckets(clinic_id, email)
        admission = await self.db.one(
            sql.ADMIT,
            clinic_id=clinic_id,
            kinds=list(buckets),
            buckets=list(buckets.values()),
            pair=buckets[PAIR],
        )
        assert admission is not None, "it always answers"
        if len(admission.counted) == admission.wanted:
            return admission.counted
        wait = max(_RACED_WAIT_S, math.ceil(admission.wait_s))
        raise RateLimited(
            f"Too many wrong passwords. Try again after {wait} seconds, or from where you mostly log in.",
            retry_after_s=wait,
        )
