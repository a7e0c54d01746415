"""The CTEs that end sessions and void tokens inside the statement that is the reason for it."""

from sqlalchemy import CTE, ColumnElement, FromClause, and_, bindparam, func, insert, select, update

from app.db.schema import Uuid
from app.db.statement import constant
from app.identity.revocations.models import revocations
from app.identity.sessions.models import sessions


def end_sessions(where: ColumnElement[bool], *, reason: str) -> CTE:
    """The live sessions that match, now ended."""
    return (
        update(sessions)
        .where(sessions.c.ended_at.is_(None), where)
        .values(ended_at=func.now(), end_reason=constant(reason))
        .returning(sessions.c.clinic_id, sessions.c.id, sessions.c.user_id)
        .cte("ended_session")
    )


def revoke_sessions(ended: CTE) -> CTE:
    """Tells every process that the tokens of these sessions are void."""
    row = select(ended.c.clinic_id, func.gen_random_uuid().label("id"), ended.c.id.label("session_id"))
    return insert(revocations).from_select(["clinic_id", "id", "session_id"], row).cte("revoked_session")


def void_older_tokens(changed: FromClause, condition: ColumnElement[bool]) -> CTE:
    """Tells every process that the user's tokens of an older version are void."""
    row = select(
        changed.c.clinic_id,
        func.gen_random_uuid().label("revocation_id"),
        changed.c.id.label("user_id"),
        changed.c.token_version,
    ).where(condition)
    return insert(revocations).from_select(["clinic_id", "id", "user_id", "token_version"], row).cte("revoked_user")


def end_other_sessions(owner: FromClause, *, reason: str) -> tuple[CTE, CTE]:
    """The user's sessions but the one with `session_id`, ended and told. `owner` has `clinic_id` and `user_id`."""
    ended = end_sessions(
        and_(
            sessions.c.clinic_id == owner.c.clinic_id,
            sessions.c.user_id == owner.c.user_id,
            sessions.c.id != bindparam("session_id", type_=Uuid),
        ),
        reason=reason,
    )
    return ended, revoke_sessions(ended)
