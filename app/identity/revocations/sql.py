"""Which tokens were voided lately, in every clinic: one small index scan a poll."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Interval, bindparam, delete, func, select

from app.db.statement import compiled
from app.identity.revocations.models import revocations


@dataclass(frozen=True, slots=True)
class Revocation:
    """A session that ended, or a user whose tokens below `token_version` are void."""

    clinic_id: int
    session_id: UUID | None
    user_id: UUID | None
    token_version: int | None


_AGE = bindparam("age", type_=Interval)

REVOKED_WITHIN = compiled(
    "revoked_within",
    select(revocations.c.clinic_id, revocations.c.session_id, revocations.c.user_id, revocations.c.token_version).where(
        revocations.c.created_at > func.now() - _AGE
    ),
    Revocation,
)

FORGET_OLDER = compiled(
    "forget_older",
    delete(revocations).where(revocations.c.created_at < func.now() - _AGE),
    int,
    is_write=True,
)

__all__ = ["FORGET_OLDER", "REVOKED_WITHIN", "Revocation"]
