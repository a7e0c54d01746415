"""Sessions: opened, rotated, ended."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from uuid import UUID

from sqlalchemy import (
    CTE,
    ColumnElement,
    Integer,
    LargeBinary,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import INTERVAL

from app.audit.clauses import ACTOR_ID, record
from app.db.schema import Text, Uuid
from app.db.statement import Statement, compiled, constant
from app.identity.mfa.clauses import NEEDS_FACTOR, has_factor, spend_step
from app.identity.mfa.models import FAILED_AGO_S, totp_secrets
from app.identity.mfa.rules import Factor
from app.identity.passkeys.clauses import use_passkey
from app.identity.passkeys.models import has_passkey
from app.identity.recovery.clauses import spend_recovery_code
from app.identity.revocations.clauses import end_sessions, revoke_sessions
from app.identity.sessions.models import refresh_tokens as tokens
from app.identity.sessions.models import sessions
from app.identity.sessions.rules import KEPT_AFTER_EXPIRY
from app.identity.users.models import clinics, users


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a login is checked against; only the clinic is known where the e-mail is not."""

    clinic_id: int
    user_id: UUID | None
    email: str | None
    role: str | None
    password_hash: str | None
    is_active: bool | None
    token_version: int | None
    # Of a confirmed app, if there is one.
    sealed: bytes | None
    last_step: int | None
    failures: int | None
    failed_ago_s: float | None
    has_passkey: bool | None
    # Whether the clinic demands a second factor, and there is none.
    needs_factor: bool | None

    @property
    def factor(self) -> Factor | None:
        """The second factor that a login must prove."""
        if self.sealed is None and not self.has_passkey:
            return None
        assert self.user_id is not None
        last_step, failures = self.last_step or 0, self.failures or 0
        return Factor(self.clinic_id, self.user_id, self.sealed, last_step, failures, self.failed_ago_s)


@dataclass(frozen=True, slots=True)
class LiveSession:
    """A login that can still be refreshed."""

    id: UUID
    created_at: datetime
    # When its newest refresh token was given out, and until when that is good.
    refreshed_at: datetime
    expires_at: datetime
    # Whether it is the one with `session_id`.
    is_current: bool


_CLINIC_ID = bindparam("clinic_id", type_=Integer)
_SESSION_ID = bindparam("session_id", type_=Uuid)
_USER_ID = bindparam("user_id", type_=Uuid)
_LIFETIME = bindparam("lifetime", type_=INTERVAL)
_HASH = bindparam("token_hash", type_=LargeBinary)

_CREDENTIAL_COLUMNS = [
    clinics.c.clinic_id,
    users.c.id.label("user_id"),
    users.c.email,
    users.c.role,
    users.c.password_hash,
    users.c.is_active,
    users.c.token_version,
    totp_secrets.c.sealed,
    totp_secrets.c.last_step,
    totp_secrets.c.failures,
    FAILED_AGO_S.label("failed_ago_s"),
    has_passkey(users).label("has_passkey"),
    NEEDS_FACTOR.label("needs_factor"),
]
_CONFIRMED_APP = and_(
    totp_secrets.c.clinic_id == users.c.clinic_id,
    totp_secrets.c.user_id == users.c.id,
    totp_secrets.c.confirmed_at.is_not(None),
)

CREDENTIALS_BY_EMAIL = compiled(
    "credentials_by_email",
    select(*_CREDENTIAL_COLUMNS)
    .select_from(
        clinics.outerjoin(
            users,
            and_(
                users.c.clinic_id == clinics.c.clinic_id,
                users.c.email_normalized == bindparam("email_normalized", type_=Text),
            ),
        ).outerjoin(totp_secrets, _CONFIRMED_APP)
    )
    .where(clinics.c.slug == bindparam("clinic", type_=Text)),
    Credentials,
)

CREDENTIALS_BY_ID = compiled(
    "credentials_by_id",
    select(*_CREDENTIAL_COLUMNS)
    .select_from(clinics.join(users, users.c.clinic_id == clinics.c.clinic_id).outerjoin(totp_secrets, _CONFIRMED_APP))
    .where(users.c.clinic_id == _CLINIC_ID, users.c.id == _USER_ID),
    Credentials,
)


def _first(value: UUID) -> UUID:
    return value


def _open_session(name: str, proof: CTE | None) -> Statement[UUID]:
    """A session of who has no second factor, or has used it in this very statement."""
    proves = exists().where(proof.c.user_id == users.c.id) if proof is not None else ~has_factor(users)
    # The hash once more, under the transaction's lock: a password that was changed since it was checked opens nothing,
    # and a change finds every session that its hash opened.
    user = (
        select(users.c.clinic_id, users.c.id, users.c.role)
        .where(
            users.c.clinic_id == _CLINIC_ID,
            users.c.id == _USER_ID,
            users.c.is_active,
            users.c.password_hash == bindparam("password_hash", type_=Text),
            proves,
        )
        .cte("user")
    )
    session = (
        insert(sessions)
        .from_select(["clinic_id", "id", "user_id"], select(user.c.clinic_id, _SESSION_ID.label("id"), user.c.id))
        .returning(sessions.c.clinic_id, sessions.c.id)
        .cte("session")
    )
    token = (
        insert(tokens)
        .from_select(
            ["clinic_id", "token_hash", "session_id", "expires_at"],
            select(session.c.clinic_id, _HASH.label("token_hash"), session.c.id, func.now() + _LIFETIME),
        )
        .cte("token")
    )
    audit = record(
        user,
        action="user.logged_in",
        entity_type="user",
        entity_id=user.c.id,
        clinic_id=user.c.clinic_id,
        actor_id=user.c.id,
        actor_role=user.c.role,
        details=func.jsonb_build_object(constant("session_id"), _SESSION_ID),
    )
    return compiled(name, select(session.c.id).add_cte(token, audit), _first, is_write=True)


OPEN_SESSION = _open_session("open_session", None)
OPEN_SESSION_BY_STEP = _open_session("open_session_by_step", spend_step())
OPEN_SESSION_BY_RECOVERY_CODE = _open_session("open_session_by_recovery_code", spend_recovery_code())
OPEN_SESSION_BY_PASSKEY = _open_session("open_session_by_passkey", use_passkey())


def _end_family(name: str, which: ColumnElement[bool], *, action: str, reason: str) -> Statement[UUID]:
    ended = end_sessions(and_(sessions.c.clinic_id == _CLINIC_ID, which), reason=reason)
    audit = record(ended, action=action, entity_type="session", entity_id=ended.c.id, clinic_id=ended.c.clinic_id)
    return compiled(name, select(ended.c.id).add_cte(revoke_sessions(ended), audit), _first, is_write=True)


_IS_NAMED = sessions.c.id == _SESSION_ID
# With somebody else's token or session nothing happens.
_IS_OWN = sessions.c.user_id == ACTOR_ID
_HAS_TOKEN = exists().where(
    tokens.c.clinic_id == _CLINIC_ID, tokens.c.session_id == sessions.c.id, tokens.c.token_hash == _HASH
)
LOG_OUT = _end_family("log_out", and_(_IS_OWN, _HAS_TOKEN), action="session.ended", reason="logged_out")
END_OWN = _end_family("end_own_session", and_(_IS_OWN, _IS_NAMED), action="session.ended", reason="ended_by_user")
END_REUSED = _end_family("end_reused_family", _IS_NAMED, action="session.token_reused", reason="token_reused")


_FILTERS = {"before_id": sessions.c.id < bindparam("before_id", type_=Uuid)}


@cache
def live_sessions(given: frozenset[str]) -> Statement[LiveSession]:
    """The user's sessions that can still be refreshed, newest first: the ids are sorted by time."""
    newest = (
        select(tokens.c.issued_at, tokens.c.expires_at)
        .where(tokens.c.clinic_id == sessions.c.clinic_id, tokens.c.session_id == sessions.c.id)
        .order_by(tokens.c.issued_at.desc())
        .limit(1)
        .lateral("newest_token")
    )
    query = (
        select(
            sessions.c.id,
            sessions.c.created_at,
            newest.c.issued_at.label("refreshed_at"),
            newest.c.expires_at,
            _IS_NAMED.label("is_current"),
        )
        .select_from(sessions.join(newest, true()))
        .where(
            sessions.c.clinic_id == _CLINIC_ID,
            sessions.c.user_id == _USER_ID,
            sessions.c.ended_at.is_(None),
            newest.c.expires_at > func.now(),
            *(_FILTERS[name] for name in sorted(given)),
        )
        .order_by(sessions.c.id.desc())
        .limit(bindparam("rows"))
    )
    return compiled("live_sessions", query, LiveSession)


def _change_password() -> Statement[UUID]:
    changed = (
        update(users)
        .where(
            users.c.clinic_id == _CLINIC_ID,
            users.c.id == _USER_ID,
            users.c.password_hash == bindparam("password_hash", type_=Text),
        )
        .values(password_hash=bindparam("new_password_hash", type_=Text))
        .returning(users.c.clinic_id, users.c.id, users.c.role)
        .cte("changed_user")
    )
    ended = end_sessions(
        and_(
            sessions.c.clinic_id == changed.c.clinic_id,
            sessions.c.user_id == changed.c.id,
            sessions.c.id != _SESSION_ID,
        ),
        reason="password_changed",
    )
    audit = record(
        changed,
        action="user.password_changed",
        entity_type="user",
        entity_id=changed.c.id,
        clinic_id=changed.c.clinic_id,
        actor_id=changed.c.id,
        actor_role=changed.c.role,
    )
    query = select(changed.c.id).add_cte(ended, revoke_sessions(ended), audit)
    return compiled("change_password", query, _first, is_write=True)


CHANGE_PASSWORD = _change_password()


def _forget_expired() -> Statement[UUID]:
    """The oldest expired tokens, `rows` at most, and each session whose last one is among them."""
    expired = (
        select(tokens.c.clinic_id, tokens.c.token_hash)
        .where(tokens.c.expires_at < func.now() - KEPT_AFTER_EXPIRY)
        .order_by(tokens.c.expires_at)
        .limit(bindparam("rows"))
        .with_for_update(skip_locked=True)
        .cte("expired_token")
    )
    gone = (
        delete(tokens)
        .where(tuple_(tokens.c.clinic_id, tokens.c.token_hash).in_(select(expired)))
        .returning(tokens.c.clinic_id, tokens.c.token_hash, tokens.c.session_id)
        .cte("gone_token")
    )
    # The statement still sees what it deletes.
    left = tokens.alias("left_token")
    is_gone = exists().where(gone.c.clinic_id == left.c.clinic_id, gone.c.token_hash == left.c.token_hash)
    has_left = exists().where(left.c.clinic_id == sessions.c.clinic_id, left.c.session_id == sessions.c.id, ~is_gone)
    over = (
        delete(sessions)
        .where(
            tuple_(sessions.c.clinic_id, sessions.c.id).in_(select(gone.c.clinic_id, gone.c.session_id)),
            ~has_left,
        )
        .cte("over_session")
    )
    return compiled("forget_expired_tokens", select(gone.c.session_id).add_cte(over), _first, is_write=True)


FORGET_EXPIRED = _forget_expired()
