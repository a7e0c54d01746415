"""The password again: a device that was left open must not be enough."""

from app.db.database import Database
from app.identity.errors import InvalidCredentials
from app.identity.passwords import Passwords
from app.identity.rules import Principal
from app.identity.trail import record_failure


async def check_own_password(
    db: Database,
    passwords: Passwords,
    principal: Principal,
    *,
    password: str,
    password_hash: str | None,
    action: str,
    request_id: str,
) -> None:
    """Raises `InvalidCredentials`, and leaves a row about the failed `action`."""
    if await passwords.verify(password, password_hash):
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
