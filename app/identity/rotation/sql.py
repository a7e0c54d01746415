"""Refresh tokens: the family locked, a token read as it is, and rotated."""

from uuid import UUID

from sqlalchemy import Integer, LargeBinary, and_, bindparam, func, insert, select, update
from sqlalchemy.dialects.postgresql import INTERVAL

from app.audit.clauses import record
from app.db.statement import Statement, compiled
from app.identity.mfa.clauses import NEEDS_FACTOR
from app.identity.sessions.models import refresh_tokens as tokens
from app.identity.sessions.models import sessions
from app.identity.sessions.rules import Presented
from app.identity.users.models import clinics, users

_CLINIC_ID = bindparam("clinic_id", type_=Integer)
_LIFETIME = bindparam("lifetime", type_=INTERVAL)
_SESSION_LIFETIME = bindparam("session_lifetime", type_=INTERVAL)
_HASH = bindparam("token_hash", type_=LargeBinary)


def _first(value: UUID) -> UUID:
    return value


# The session's row is the family's lock: of a hundred that present one token, one rotates it and the rest see that.
LOCK_FAMILY = compiled(
    "lock_family",
    select(sessions.c.id)
    .where(
        sessions.c.clinic_id == _CLINIC_ID,
        sessions.c.id
        == select(tokens.c.session_id)
        .where(tokens.c.clinic_id == _CLINIC_ID, tokens.c.token_hash == _HASH)
        .scalar_subquery(),
    )
    .with_for_update(),
    _first,
    is_write=True,
)

_successor = tokens.alias("successor")
PRESENTED = compiled(
    "presented_token",
    select(
        sessions.c.id.label("session_id"),
        users.c.id.label("user_id"),
        users.c.role,
        users.c.is_active,
        users.c.token_version,
        func.now().label("now"),
        tokens.c.expires_at,
        sessions.c.ended_at.label("session_ended_at"),
        tokens.c.used_at,
        _successor.c.used_at.label("successor_used_at"),
        NEEDS_FACTOR.label("needs_factor"),
    )
    .select_from(
        tokens.join(sessions, and_(sessions.c.clinic_id == tokens.c.clinic_id, sessions.c.id == tokens.c.session_id))
        .join(users, and_(users.c.clinic_id == sessions.c.clinic_id, users.c.id == sessions.c.user_id))
        .join(clinics, clinics.c.clinic_id == users.c.clinic_id)
        .outerjoin(
            _successor,
            and_(
                _successor.c.clinic_id == tokens.c.clinic_id,
                _successor.c.token_hash == bindparam("successor_hash", type_=LargeBinary),
            ),
        )
    )
    .where(tokens.c.clinic_id == _CLINIC_ID, tokens.c.token_hash == _HASH),
    Presented,
)


def _rotate() -> Statement[UUID]:
    used = (
        update(tokens)
        .where(tokens.c.clinic_id == _CLINIC_ID, tokens.c.token_hash == _HASH, tokens.c.used_at.is_(None))
        .values(used_at=func.now())
        .returning(tokens.c.clinic_id, tokens.c.session_id)
        .cte("used_token")
    )
    successor = (
        insert(tokens)
        .from_select(
            ["clinic_id", "token_hash", "session_id", "expires_at"],
            select(
                used.c.clinic_id,
                bindparam("successor_hash", type_=LargeBinary).label("token_hash"),
                used.c.session_id,
                # The session's last token ends with it.
                func.least(func.now() + _LIFETIME, sessions.c.created_at + _SESSION_LIFETIME),
            ).select_from(
                used.join(sessions, and_(sessions.c.clinic_id == used.c.clinic_id, sessions.c.id == used.c.session_id))
            ),
        )
        .returning(tokens.c.session_id)
        .cte("successor")
    )
    audit = record(
        used,
        action="session.refreshed",
        entity_type="session",
        entity_id=used.c.session_id,
        clinic_id=used.c.clinic_id,
    )
    return compiled("rotate", select(successor.c.session_id).add_cte(audit), _first, is_write=True)


ROTATE = _rotate()
