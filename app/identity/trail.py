"""Whom an audit row of this room names, and the rows of attempts that came to nothing."""

from collections.abc import Mapping
from uuid import UUID

from app.audit.clauses import FAILURE
from app.audit.service import record_event
from app.db.database import Database
from app.identity.rules import Principal
from app.kit.ids import uuid7


def trace(actor: Principal | None, request_id: str) -> Mapping[str, object]:
    """What `app/audit/clauses.py:record` binds; without an actor it was the command line, or somebody unknown."""
    return {
        "actor_id": actor.user_id if actor else None,
        "actor_role": actor.role if actor else None,
        "audit_id": uuid7(),
        "request_id": request_id,
    }


async def record_failure(
    db: Database,
    action: str,
    *,
    clinic_id: int,
    user_id: UUID | None,
    request_id: str,
    actor: Principal | None = None,
    reason: str | None = None,
) -> None:
    """An attempt on the user's account that was refused; `reason` is the refusal's code, where it tells more."""
    await record_event(
        db,
        clinic_id=clinic_id,
        actor_id=actor.user_id if actor else None,
        actor_role=actor.role if actor else None,
        action=action,
        entity_type="user",
        entity_id=str(user_id) if user_id else None,
        outcome=FAILURE,
        request_id=request_id,
        details={"reason": reason} if reason else {},
    )
