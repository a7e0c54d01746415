"""Logging in, staying in, leaving."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NoReturn
from uuid import UUID

from app.db.database import Database
from app.db.statement import Statement
from app.identity.attempts.service import Attempts
from app.identity.errors import InvalidCredentials
from app.identity.mfa import service as mfa
from app.identity.mfa.rules import Step
from app.identity.passkeys.rules import Answer
from app.identity.passwords import check_strength
from app.identity.recovery.rules import RecoveryCode
from app.identity.rotation import sql as rotation
from app.identity.rules import Principal
from app.identity.sessions import sql
from app.identity.sessions.errors import InvalidToken
from app.identity.sessions.rules import Decision, Presented, decide
from app.identity.tokens import RefreshToken
from app.identity.trail import record_failure, trace
from app.identity.users import sql as users_sql
from app.identity.users.rules import normalized_email
from app.kit.errors import NotFound
from app.kit.ids import uuid7

# Attempts at a clinic that there is not are counted too.
NO_CLINIC = 0
# Of the second factor; the statement that opens the session uses it up.
Proof = Step | RecoveryCode | Answer


@dataclass(frozen=True, slots=True)
class Admission:
    """Who was let in, and the token with which to stay."""

    principal: Principal
    refresh_token: RefreshToken


async def log_in(
    db: Database,
    attempts: Attempts,
    *,
    clinic: str,
    email: str,
    password: str,
    otp: str | None,
    mfa_key: bytes,
    now: datetime,
    refresh_lifetime: timedelta,
    request_id: str,
) -> Admission:
    """A new session. Raises `InvalidCredentials`: for whatever reason, after the same time; and `Unavailable`.

    Who guesses is told to wait: `RateLimited`. Only who knows the password learns more: `OtpRequired`, `OtpInvalid`.
    """
    found = await prove_password(db, attempts, clinic=clinic, email=email, password=password, request_id=request_id)
    factor, proof = found.factor, None
    if factor is not None:
        proof = await mfa.demand(db, factor, key=mfa_key, otp=otp, now=now, request_id=request_id)
    admission = await open_session(db, found, proof, refresh_lifetime=refresh_lifetime, request_id=request_id)
    if admission is None and factor is not None:
        # Somebody was faster with the same code.
        await mfa.refuse(db, factor, request_id=request_id)
    if admission is None:
        # The account was changed since the password was checked.
        await _refuse(db, found, request_id=request_id)
    return admission


async def prove_password(
    db: Database, attempts: Attempts, *, clinic: str, email: str, password: str, request_id: str
) -> sql.Credentials:
    """Whose password this is: an active user's.

    Raises `InvalidCredentials`, after the same time; `RateLimited` for who guesses; `Unavailable`.
    """
    # Asked before the account is, so that a storm of logins costs next to nothing.
    attempts.passwords.check_wait()
    found = await db.one(sql.CREDENTIALS_BY_EMAIL, clinic=clinic, email_normalized=normalized_email(email))
    is_right = await attempts.verify(
        password,
        found.password_hash if found else None,
        clinic_id=found.clinic_id if found else NO_CLINIC,
        email=email,
    )
    if found is None:
        raise InvalidCredentials
    if not is_right or not found.is_active:
        await _refuse(db, found, request_id=request_id)
    return found


async def open_session(
    db: Database, found: sql.Credentials, proof: Proof | None, *, refresh_lifetime: timedelta, request_id: str
) -> Admission | None:
    """A session for who has proved both factors; `None` if the proof was used, or the account changed, meanwhile."""
    assert found.user_id is not None
    assert found.role is not None
    assert found.token_version is not None
    token = RefreshToken.fresh(found.clinic_id)
    who = {"clinic_id": found.clinic_id, "user_id": found.user_id}
    async with db.transaction() as session:
        # A factor that is being added is waited for, and then seen: a statement sees what was there when it began.
        await session.one(users_sql.SHARE_USER, **who)
        session_id = await session.one(
            _opening(proof),
            **(proof.values if proof else {}),
            **who,
            password_hash=found.password_hash,
            session_id=uuid7(),
            token_hash=token.hash,
            lifetime=refresh_lifetime,
            audit_id=uuid7(),
            request_id=request_id,
        )
    if session_id is None:
        return None
    # The version and the need were read at one moment: a clinic that has begun to demand since has raised the version.
    needs_factor = bool(found.needs_factor)
    principal = Principal(found.clinic_id, found.user_id, found.role, session_id, found.token_version, needs_factor)
    return Admission(principal, token)


async def refresh(
    db: Database,
    token: RefreshToken,
    *,
    key: bytes,
    refresh_lifetime: timedelta,
    session_lifetime: timedelta,
    request_id: str,
) -> Admission:
    """The session goes on with the token's successor, which ends with it at the latest. Raises `InvalidToken`.

    1. Lock the family, so that everybody who presents one of its tokens is served one after the other.
    2. Read the token as it is now, and decide.
    3. Rotate, repeat, or end the family; the end is kept although the caller is refused.
    """
    successor = token.successor(key)
    async with db.transaction() as session:
        await session.one(rotation.LOCK_FAMILY, clinic_id=token.clinic_id, token_hash=token.hash)
        presented = await session.one(
            rotation.PRESENTED,
            clinic_id=token.clinic_id,
            token_hash=token.hash,
            successor_hash=successor.hash,
        )
        if presented is None:
            raise InvalidToken
        decision = decide(presented)
        who = {"actor_id": presented.user_id, "actor_role": presented.role}
        if decision is Decision.ROTATE:
            await session.one(
                rotation.ROTATE,
                clinic_id=token.clinic_id,
                token_hash=token.hash,
                successor_hash=successor.hash,
                lifetime=refresh_lifetime,
                session_lifetime=session_lifetime,
                audit_id=uuid7(),
                request_id=request_id,
                **who,
            )
        elif decision is Decision.END_FAMILY:
            await session.one(
                sql.END_REUSED,
                clinic_id=token.clinic_id,
                session_id=presented.session_id,
                audit_id=uuid7(),
                request_id=request_id,
                **who,
            )
    if decision not in (Decision.ROTATE, Decision.REPEAT):
        raise InvalidToken
    return Admission(_principal(token.clinic_id, presented), successor)


async def log_out(db: Database, principal: Principal, *, token: RefreshToken | None, request_id: str) -> None:
    """The token's family is over, if it is the caller's; nothing is told about any other token."""
    if token is None or token.clinic_id != principal.clinic_id:
        return
    await db.one(
        sql.LOG_OUT,
        clinic_id=principal.clinic_id,
        token_hash=token.hash,
        **trace(principal, request_id),
    )


async def find_sessions(
    db: Database, principal: Principal, *, before: UUID | None, limit: int
) -> list[sql.LiveSession]:
    """The caller's sessions that can still be refreshed, newest first, older than the one with id `before`."""
    values = {} if before is None else {"before_id": before}
    who = {
        "clinic_id": principal.clinic_id,
        "user_id": principal.user_id,
        "session_id": principal.session_id,
    }
    return await db.many(sql.live_sessions(frozenset(values)), **who, rows=limit, **values)


async def end_session(db: Database, principal: Principal, *, session_id: UUID, request_id: str) -> None:
    """One of the caller's sessions is over. Raises `NotFound` for what is none, or was over before."""
    ended = await db.one(
        sql.END_OWN,
        clinic_id=principal.clinic_id,
        session_id=session_id,
        **trace(principal, request_id),
    )
    if ended is None:
        raise NotFound


async def change_password(
    db: Database,
    attempts: Attempts,
    principal: Principal,
    *,
    current_password: str,
    new_password: str,
    request_id: str,
) -> None:
    """A new password; all other sessions end. Raises `InvalidCredentials`, `PasswordTooWeak`, `RateLimited`."""
    found = await db.one(sql.CREDENTIALS_BY_ID, clinic_id=principal.clinic_id, user_id=principal.user_id)
    email, stored = (found.email or "", found.password_hash) if found else ("", None)
    check_strength(new_password, email=email)
    is_right = await attempts.verify(current_password, stored, clinic_id=principal.clinic_id, email=email)
    if not is_right or found is None:
        await record_failure(
            db,
            "user.password_change_failed",
            clinic_id=principal.clinic_id,
            user_id=principal.user_id,
            actor=principal,
            request_id=request_id,
        )
        raise InvalidCredentials
    new_password_hash = await attempts.passwords.hash(new_password)
    who = {"clinic_id": principal.clinic_id, "user_id": principal.user_id}
    async with db.transaction() as session:
        await session.one(users_sql.LOCK_USER, **who)
        changed = await session.one(
            sql.CHANGE_PASSWORD,
            **who,
            session_id=principal.session_id,
            password_hash=found.password_hash,
            new_password_hash=new_password_hash,
            audit_id=uuid7(),
            request_id=request_id,
        )
    if changed is None:
        # Somebody else changed it between the check and the change.
        raise InvalidCredentials


async def _refuse(db: Database, found: sql.Credentials, *, request_id: str) -> NoReturn:
    await record_failure(
        db, "user.login_failed", clinic_id=found.clinic_id, user_id=found.user_id, request_id=request_id
    )
    raise InvalidCredentials


def _opening(proof: Proof | None) -> Statement[UUID]:
    match proof:
        case None:
            return sql.OPEN_SESSION
        case Step():
            return sql.OPEN_SESSION_BY_STEP
        case RecoveryCode():
            return sql.OPEN_SESSION_BY_RECOVERY_CODE
        case Answer():
            return sql.OPEN_SESSION_BY_PASSKEY


def _principal(clinic_id: int, presented: Presented) -> Principal:
    return Principal(
        clinic_id,
        presented.user_id,
        presented.role,
        presented.session_id,
        presented.token_version,
        presented.needs_factor,
    )
