"""Turning one-time codes on and off, and asking for one."""

from collections.abc import Mapping
from datetime import datetime
from typing import NoReturn
from uuid import UUID

from app.db.database import Database
from app.identity.attempts.service import Attempts
from app.identity.mfa import rules, sql
from app.identity.mfa.errors import LastSecondFactor, OtpInvalid, OtpRequired, TotpAlreadyOn
from app.identity.mfa.rules import Code, Factor, Step
from app.identity.proof import check_own_password
from app.identity.recovery import rules as recovery
from app.identity.rules import Principal
from app.identity.trail import record_failure, trace
from app.identity.users import sql as users_sql
from app.kit import sealing
from app.kit.errors import RateLimited
from app.kit.ids import uuid7


async def set_up(
    db: Database,
    attempts: Attempts,
    principal: Principal,
    *,
    key: bytes,
    password: str,
    request_id: str,
) -> tuple[str, str]:
    """A fresh secret and its `otpauth://` address.

    Raises `InvalidCredentials`, `TotpAlreadyOn`, `RateLimited`, `Unavailable`.
    """
    found = await db.one(sql.OWN_APP, **_who(principal))
    await check_own_password(
        db,
        attempts,
        principal,
        password=password,
        account=found,
        action="user.totp_failed",
        request_id=request_id,
    )
    assert found, "a password was right"
    secret = rules.fresh_secret()
    sealed = sealing.seal(key, secret.encode(), place=_place(principal.clinic_id, principal.user_id))
    if await db.one(sql.SET_UP, **_who(principal), **trace(principal, request_id), sealed=sealed) is None:
        raise TotpAlreadyOn
    return secret, rules.app_address(secret, email=found.email)


async def confirm(
    db: Database, principal: Principal, *, key: bytes, otp: str, now: datetime, request_id: str
) -> list[str]:
    """From now on every login needs a code; the recovery codes, told this once. Raises `OtpInvalid`."""
    found = await db.one(sql.OWN_APP, **_who(principal))
    if found is None or found.sealed is None or found.is_confirmed:
        raise OtpInvalid
    factor = _factor(principal, found)
    _check_wait(factor)
    proof = _read(factor, key=key, otp=otp, now=now)
    codes = recovery.fresh_codes()
    if isinstance(proof, Step):
        async with db.transaction() as session:
            # Behind the logins that are under way: the statement that ends sessions must begin after them.
            await session.one(users_sql.LOCK_USER, **_who(principal))
            confirmed = await session.one(
                sql.CONFIRM,
                **_who(principal),
                **trace(principal, request_id),
                session_id=principal.session_id,
                sealed=found.sealed,
                step=proof.number,
                code_hashes=[recovery.hash_of(code) for code in codes],
            )
        if confirmed is not None:
            return codes
    await db.one(sql.NOTE_FAILURE, **_who(principal), **trace(principal, request_id))
    raise OtpInvalid


async def remove(db: Database, principal: Principal, *, key: bytes, otp: str, now: datetime, request_id: str) -> None:
    """No login needs a code any more. Raises `OtpInvalid`, `RateLimited`, `LastSecondFactor`."""
    found = await db.one(sql.OWN_APP, **_who(principal))
    if found is None or not found.is_confirmed:
        raise OtpInvalid
    factor = _factor(principal, found)
    _check_wait(factor)
    proof = _read(factor, key=key, otp=otp, now=now)
    if proof is not None:
        statement = sql.REMOVE_BY_STEP if isinstance(proof, Step) else sql.REMOVE_BY_RECOVERY_CODE
        async with db.transaction() as session:
            await session.one(sql.LOCK_FACTORS, **_who(principal))
            removed = await session.one(
                statement,
                **_who(principal),
                **trace(principal, request_id),
                **proof.values,
                session_id=principal.session_id,
            )
        if removed is not None:
            return
        found = await db.one(sql.OWN_APP, **_who(principal))
        if found is not None and found.is_demanded:
            raise LastSecondFactor
    await db.one(sql.NOTE_FAILURE, **_who(principal), **trace(principal, request_id))
    raise OtpInvalid


async def reset(db: Database, *, clinic_id: int, user_id: UUID, request_id: str) -> bool:
    """The user's second factors are gone and all sessions ended, for who has lost them; whether there were any."""
    who = {"clinic_id": clinic_id, "user_id": user_id}
    async with db.transaction() as session:
        await session.one(sql.LOCK_FACTORS, **who)
        # No session of theirs is spared: this is the id of none.
        gone = await session.one(sql.RESET, **who, **trace(None, request_id), session_id=uuid7())
    return gone is not None


async def demand(db: Database, factor: Factor, *, key: bytes, otp: str | None, now: datetime, request_id: str) -> Code:
    """What the code of somebody who logs in proves. Raises `OtpRequired`, `OtpInvalid`, `RateLimited`.

    Whether it was used before, only the statement tells that spends it.
    """
    if otp is None:
        await record_failure(
            db,
            "user.login_failed",
            clinic_id=factor.clinic_id,
            user_id=factor.user_id,
            request_id=request_id,
            reason=OtpRequired.code,
        )
        raise OtpRequired
    _check_wait(factor)
    proof = _read(factor, key=key, otp=otp, now=now)
    if proof is None:
        await refuse(db, factor, request_id=request_id)
    return proof


async def refuse(db: Database, factor: Factor, *, request_id: str) -> NoReturn:
    """Count a wrong or used code at a login. Raises `OtpInvalid`."""
    await db.one(
        sql.NOTE_FAILED_LOGIN,
        clinic_id=factor.clinic_id,
        user_id=factor.user_id,
        **trace(None, request_id),
    )
    raise OtpInvalid


def _check_wait(factor: Factor) -> None:
    if seconds := rules.wait_s(factor):
        raise RateLimited("Too many wrong codes. Try again after `Retry-After` seconds.", retry_after_s=seconds)


def _read(factor: Factor, *, key: bytes, otp: str, now: datetime) -> Code | None:
    secret = None
    if factor.sealed is not None:
        secret = sealing.unseal(key, factor.sealed, place=_place(factor.clinic_id, factor.user_id)).decode()
    return rules.read_code(otp, secret=secret, last_step=factor.last_step, now=now)


def _factor(principal: Principal, found: sql.OwnApp) -> Factor:
    assert found.sealed is not None
    assert found.last_step is not None
    assert found.failures is not None
    return Factor(
        principal.clinic_id, principal.user_id, found.sealed, found.last_step, found.failures, found.failed_ago_s
    )


def _place(clinic_id: int, user_id: UUID) -> str:
    return f"totp_secrets.sealed/{clinic_id}/{user_id}"


def _who(principal: Principal) -> Mapping[str, object]:
    return {"clinic_id": principal.clinic_id, "user_id": principal.user_id}
