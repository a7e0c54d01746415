"""Registering, listing and removing passkeys, and logging in with one."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NoReturn
from uuid import UUID

from app.db.database import Database
from app.db.errors import ConstraintViolation
from app.identity.attempts.service import Attempts
from app.identity.mfa import sql as mfa_sql
from app.identity.mfa.errors import LastSecondFactor
from app.identity.passkeys import rules, sql
from app.identity.passkeys.errors import NoPasskey, PasskeyExists, PasskeyInvalid, TooManyPasskeys
from app.identity.passkeys.rules import Answer, RelyingParty
from app.identity.proof import check_own_password
from app.identity.recovery import rules as recovery
from app.identity.rules import Principal
from app.identity.sessions import service as sessions
from app.identity.sessions import sql as sessions_sql
from app.identity.sessions.service import Admission
from app.identity.tokens import LoginTicket
from app.identity.trail import trace
from app.kit.errors import NotFound
from app.kit.ids import uuid7

_FAILED = "user.passkey_failed"
_CLONED = "passkey_cloned"


async def begin(
    db: Database, attempts: Attempts, principal: Principal, *, site: RelyingParty, password: str, request_id: str
) -> dict[str, Any]:
    """What the browser is told to make a passkey. Raises `InvalidCredentials`."""
    account = await db.one(sql.ACCOUNT, **_who(principal), passkey_id=None)
    await check_own_password(
        db,
        attempts,
        principal,
        password=password,
        account=account,
        action=_FAILED,
        request_id=request_id,
    )
    assert account, "a password was right"
    challenge = rules.fresh_challenge()
    await db.one(
        sql.ASK_TO_REGISTER,
        **_who(principal),
        **trace(principal, request_id),
        session_id=principal.session_id,
        challenge=challenge,
    )
    return rules.creation_options(
        site,
        challenge=challenge,
        user_id=principal.user_id,
        email=account.email,
        full_name=account.full_name,
        known=account.credential_ids,
    )


async def confirm(
    db: Database, principal: Principal, *, site: RelyingParty, name: str, credential: Mapping[str, Any], request_id: str
) -> tuple[sql.AddedPasskey, list[str] | None]:
    """The passkey is added; the recovery codes with a first factor, told this once.

    Raises `PasskeyInvalid`, `PasskeyExists`, `TooManyPasskeys`.
    """
    made = rules.read_new_passkey(site, credential)
    if made is None:
        raise PasskeyInvalid
    codes = recovery.fresh_codes()
    try:
        async with db.transaction() as session:
            # Behind the logins that are under way: the statement that ends sessions must begin after them.
            await session.one(mfa_sql.LOCK_FACTORS, **_who(principal))
            added = await session.one(
                sql.ADD,
                **_who(principal),
                **trace(principal, request_id),
                session_id=principal.session_id,
                challenge=made.challenge,
                passkey_id=uuid7(),
                credential_id=made.credential_id,
                public_key=made.public_key,
                sign_count=made.sign_count,
                name=name,
                code_hashes=[recovery.hash_of(code) for code in codes],
            )
    except ConstraintViolation as violation:
        if violation.constraint == "uq_passkeys_clinic_id_credential_id":
            raise PasskeyExists from violation
        raise
    if added is None:
        account = await db.one(sql.ACCOUNT, **_who(principal), passkey_id=None)
        is_full = account is not None and len(account.credential_ids) >= rules.PASSKEYS_MAX
        raise TooManyPasskeys if is_full else PasskeyInvalid
    return added, codes if added.is_first_factor else None


async def find(db: Database, principal: Principal, *, before: UUID | None, limit: int) -> list[sql.Passkey]:
    """The caller's passkeys, newest first, older than the one with id `before`."""
    values = {} if before is None else {"before_id": before}
    return await db.many(sql.passkeys_of(frozenset(values)), **_who(principal), rows=limit, **values)


async def remove(
    db: Database, attempts: Attempts, principal: Principal, *, passkey_id: UUID, password: str, request_id: str
) -> None:
    """It opens nothing any more, and the other sessions end.

    Raises `NotFound`, `InvalidCredentials`, `LastSecondFactor`.
    """
    account = await db.one(sql.ACCOUNT, **_who(principal), passkey_id=passkey_id)
    if account is None or not account.has_passkey:
        raise NotFound
    await check_own_password(
        db,
        attempts,
        principal,
        password=password,
        account=account,
        action=_FAILED,
        request_id=request_id,
    )
    async with db.transaction() as session:
        await session.one(mfa_sql.LOCK_FACTORS, **_who(principal))
        removed = await session.one(
            sql.REMOVE,
            **_who(principal),
            **trace(principal, request_id),
            session_id=principal.session_id,
            passkey_id=passkey_id,
        )
    if removed is None:
        account = await db.one(sql.ACCOUNT, **_who(principal), passkey_id=passkey_id)
        raise LastSecondFactor if account is not None and account.has_passkey else NotFound


async def ask(
    db: Database,
    attempts: Attempts,
    *,
    site: RelyingParty,
    clinic: str,
    email: str,
    password: str,
    request_id: str,
) -> tuple[LoginTicket, dict[str, Any]]:
    """A ticket that stands for the password, and what the browser is told to have a passkey answer.

    Raises `InvalidCredentials`: for whatever reason, after the same time; only who knows the password: `NoPasskey`.
    """
    found = await sessions.prove_password(
        db, attempts, clinic=clinic, email=email, password=password, request_id=request_id
    )
    assert found.password_hash, "a password was right"
    ticket = LoginTicket.fresh(found.clinic_id)
    credential_ids = await db.one(
        sql.ASK_TO_LOG_IN,
        clinic_id=found.clinic_id,
        user_id=found.user_id,
        challenge=ticket.hash,
        password_digest=rules.digest_of(found.password_hash),
        **trace(None, request_id),
    )
    if credential_ids is None:
        raise NoPasskey
    return ticket, rules.request_options(site, challenge=ticket.hash, known=credential_ids)


async def log_in(
    db: Database,
    ticket: LoginTicket,
    *,
    site: RelyingParty,
    credential: Mapping[str, Any],
    refresh_lifetime: timedelta,
    request_id: str,
) -> Admission:
    """A new session. Raises `PasskeyInvalid`, for whatever reason.

    1. Find what the ticket stands for, and the passkey that says it answers.
    2. Check that it does, and that the password is still the one that was right.
    3. Open the session in the statement that spends the challenge and counts the passkey on.
    """
    found = await db.one(
        sql.ANSWERED,
        clinic_id=ticket.clinic_id,
        challenge=ticket.hash,
        credential_id=rules.credential_id_of(credential),
    )
    if found is None:
        raise PasskeyInvalid
    account = await db.one(sessions_sql.CREDENTIALS_BY_ID, clinic_id=ticket.clinic_id, user_id=found.user_id)
    answer = _read(found, ticket, site=site, credential=credential)
    if answer is None or account is None or not rules.is_same_password(found.password_digest, account.password_hash):
        await _refuse(db, found, ticket, reason=PasskeyInvalid.code, request_id=request_id)
    assert found.sign_count is not None
    if not rules.counts_on(answer.sign_count, stored=found.sign_count):
        await _refuse(db, found, ticket, reason=_CLONED, request_id=request_id)
    admission = await sessions.open_session(
        db, account, answer, refresh_lifetime=refresh_lifetime, request_id=request_id
    )
    if admission is None:
        # Somebody was faster with the same challenge, or the account was changed or disabled.
        await _refuse(db, found, ticket, reason=PasskeyInvalid.code, request_id=request_id)
    return admission


def _read(
    found: sql.Answered, ticket: LoginTicket, *, site: RelyingParty, credential: Mapping[str, Any]
) -> Answer | None:
    if found.is_spent or found.passkey_id is None or found.public_key is None:
        return None
    sign_count = rules.read_answer(
        site, credential, challenge=ticket.hash, public_key=found.public_key, user_id=found.user_id
    )
    return None if sign_count is None else Answer(ticket.hash, found.passkey_id, sign_count)


async def _refuse(db: Database, found: sql.Answered, ticket: LoginTicket, *, reason: str, request_id: str) -> NoReturn:
    await db.one(
        sql.REFUSE,
        clinic_id=ticket.clinic_id,
        user_id=found.user_id,
        challenge=ticket.hash,
        reason=reason,
        **trace(None, request_id),
    )
    raise PasskeyInvalid


def _who(principal: Principal) -> Mapping[str, object]:
    return {"clinic_id": principal.clinic_id, "user_id": principal.user_id}
