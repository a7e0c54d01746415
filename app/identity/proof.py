"""The password again: a device that was left open must not be enough."""

from typing import Protocol

from app.db.database import Database
from app.identity.attempts.service import Attempts
from app.identity.errors import InvalidCredentials
from app.identity.rules import Principal
from app.identity.trail import record_failure


class Account(Protocol):
    """What is known of the caller's account."""

    @property
    def email(self) -> str:
        """Under which the attempt is counted."""

    @property
    def password_hash(self) -> str:
        """What the password must have made."""


async def check_own_password(
    db: Database,
    attempts: Attempts,
    principal: Principal,
    *,
    password: str,
    account: Account | None,
    action: str,
    request_id: str,
) -> None:
    """Raises `InvalidCredentials`, and leaves a row about the failed `action`; `RateLimited` for who guesses."""
    email, stored = (account.email, account.password_hash) if account else ("", None)
    if await attempts.verify(password, stored, clinic_id=principal.clinic_id, email=email):
        return
    await record_failure(
        db,
        action,
        clinic_id=principal.clinic_id,
        user_id=principal.user_id,
        actor=principal,
        request_id=request_id,
        reason=InvalidCredentials.code,
    )
    raise InvalidCredentials
