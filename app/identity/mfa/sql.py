"""Apps: set up, confirmed, asked for codes, removed."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Integer,
    LargeBinary,
    and_,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as insert_or_update

from app.audit.clauses import FAILURE, record
from app.db.schema import Uuid
from app.db.statement import Statement, compiled, constant
from app.identity.mfa.models import FAILED_AGO_S
from app.identity.mfa.models import totp_secrets as apps
from app.identity.passkeys.models import has_passkey, passkeys
from app.identity.recovery.clauses import is_another_code, replace_codes, spend_recovery_code, take_codes
from app.identity.revocations.clauses import end_other_sessions
from app.identity.users.models import IS_FACTOR_DEMANDED, clinics, users


@dataclass(frozen=True, slots=True)
class OwnApp:
    """What is known of the caller's second factor; without an app only the account."""

    email: str
    password_hash: str
    sealed: bytes | None
    is_confirmed: bool
    last_step: int | None
    failures: int | None
    failed_ago_s: float | None
    # Whether the clinic demands a second factor of the caller.
    is_demanded: bool


_CLINIC_ID = bindparam("clinic_id", type_=Integer)
_USER_ID = bindparam("user_id", type_=Uuid)
_SEALED = bindparam("sealed", type_=LargeBinary)
_OWN = and_(apps.c.clinic_id == _CLINIC_ID, apps.c.user_id == _USER_ID)

_OWNER = and_(users.c.clinic_id == _CLINIC_ID, users.c.id == _USER_ID)


def _first(value: UUID) -> UUID:
    return value


OWN_APP = compiled(
    "own_app",
    select(
        users.c.email,
        users.c.password_hash,
        apps.c.sealed,
        apps.c.confirmed_at.is_not(None).label("is_confirmed"),
        apps.c.last_step,
        apps.c.failures,
        FAILED_AGO_S.label("failed_ago_s"),
        IS_FACTOR_DEMANDED.label("is_demanded"),
    )
    .select_from(
        users.join(clinics, clinics.c.clinic_id == users.c.clinic_id).outerjoin(
            apps, and_(apps.c.clinic_id == users.c.clinic_id, apps.c.user_id == users.c.id)
        )
    )
    .where(_OWNER),
    OwnApp,
)


def _set_up() -> Statement[UUID]:
    """A fresh secret in the place of one that was never confirmed; nothing if one was."""
    given = {"clinic_id": _CLINIC_ID, "user_id": _USER_ID, "sealed": _SEALED}
    fresh = {"sealed": _SEALED, "created_at": func.now(), "last_step": 0, "failures": 0, "failed_at": None}
    app = (
        insert_or_update(apps)
        .values(**given)
        .on_conflict_do_update(
            index_elements=[apps.c.clinic_id, apps.c.user_id], set_=fresh, where=apps.c.confirmed_at.is_(None)
        )
        .returning(apps.c.clinic_id, apps.c.user_id)
        .cte("app")
    )
    return compiled("set_up_app", select(app.c.user_id).add_cte(_told(app, "user.totp_begun")), _first, is_write=True)


def _confirm() -> Statement[UUID]:
    confirmed = (
        update(apps)
        .where(
            _OWN,
            apps.c.confirmed_at.is_(None),
            # The secret that the code was checked against, and no other that came in between.
            apps.c.sealed == _SEALED,
        )
        .values(confirmed_at=func.now(), last_step=bindparam("step", type_=BigInteger), failures=0)
        .returning(apps.c.clinic_id, apps.c.user_id)
        .cte("confirmed_app")
    )
    query = select(confirmed.c.user_id).add_cte(
        *replace_codes(confirmed), _told(confirmed, "user.totp_confirmed"), *_ends_other_sessions(confirmed)
    )
    return compiled("confirm_app", query, _first, is_write=True)


def _remove_by_step() -> Statement[UUID]:
    # The row cannot be used up and deleted by one statement: that the step is a new one is asked while deleting.
    is_right = and_(apps.c.confirmed_at.is_not(None), apps.c.last_step < bindparam("step", type_=BigInteger))
    return _remove("remove_app_by_step", _free_owner(), is_right)


def _remove_by_recovery_code() -> Statement[UUID]:
    owner = _free_owner()
    spent = spend_recovery_code(exists(select(owner.c.user_id)))
    return _remove("remove_app_by_recovery_code", owner, exists(select(spent.c.user_id)), is_another_code())


def _remove(name: str, owner: CTE, which: ColumnElement[bool], *codes: ColumnElement[bool]) -> Statement[UUID]:
    """The app is gone, and so are the user's other sessions; without a passkey the recovery codes too."""
    app = (
        delete(apps)
        .where(_OWN, which, exists(select(owner.c.user_id)))
        .returning(apps.c.clinic_id, apps.c.user_id)
        .cte("gone_app")
    )
    taken = take_codes(app, ~select(owner.c.has_passkey).scalar_subquery(), *codes)
    query = select(app.c.user_id).add_cte(taken, _told(app, "user.totp_removed"), *_ends_other_sessions(app))
    return compiled(name, query, _first, is_write=True)


def _free_owner() -> CTE:
    """The user, unless the app is the only factor and the clinic demands one."""
    return (
        select(users.c.clinic_id, users.c.id.label("user_id"), has_passkey(users).label("has_passkey"))
        .where(_OWNER, clinics.c.clinic_id == users.c.clinic_id, or_(~IS_FACTOR_DEMANDED, has_passkey(users)))
        .cte("owner")
    )


def _reset() -> Statement[UUID]:
    """Whatever second factor there is, is gone, and all sessions."""
    has_any = or_(exists().where(_OWN), has_passkey(users))
    owner = select(users.c.clinic_id, users.c.id.label("user_id")).where(_OWNER, has_any).cte("owner")
    is_theirs = and_(passkeys.c.clinic_id == _CLINIC_ID, passkeys.c.user_id == _USER_ID)
    query = select(owner.c.user_id).add_cte(
        delete(apps).where(_OWN).cte("gone_app"),
        delete(passkeys).where(is_theirs).cte("gone_passkeys"),
        take_codes(owner),
        _told(owner, "user.factors_reset"),
        *_ends_other_sessions(owner),
    )
    return compiled("reset_factors", query, _first, is_write=True)


def _lock_factors() -> Statement[UUID]:
    """Behind the user's logins and a clinic that begins to demand, before the statement that removes a factor."""
    clinic = select(clinics.c.clinic_id).where(clinics.c.clinic_id == _CLINIC_ID).with_for_update(read=True)
    locked = clinic.cte("clinic")
    query = (
        select(users.c.id)
        .where(users.c.clinic_id == locked.c.clinic_id, users.c.id == _USER_ID)
        .with_for_update(key_share=True, of=users)
    )
    return compiled("lock_factors", query, _first, is_write=True)


def _note_failure(name: str, action: str) -> Statement[UUID]:
    """A wrong code, counted where there is an app to guess the codes of."""
    failed = update(apps).where(_OWN).values(failures=apps.c.failures + 1, failed_at=func.now()).cte("failed_app")
    owner = select(users.c.clinic_id, users.c.id.label("user_id")).where(_OWNER).cte("owner")
    details = func.jsonb_build_object(constant("reason"), constant("otp_invalid"))
    audit = _told(owner, action, outcome=FAILURE, details=details)
    return compiled(name, select(owner.c.user_id).add_cte(failed, audit), _first, is_write=True)


def _told(owner: CTE, action: str, **more: Any) -> CTE:
    who: dict[str, Any] = {"entity_id": owner.c.user_id, "subject_id": owner.c.user_id}
    return record(owner, action=action, entity_type="user", clinic_id=owner.c.clinic_id, **who, **more)


def _ends_other_sessions(owner: CTE) -> tuple[CTE, CTE]:
    return end_other_sessions(owner, reason="second_factor_changed")


LOCK_FACTORS = _lock_factors()
SET_UP = _set_up()
CONFIRM = _confirm()
REMOVE_BY_STEP = _remove_by_step()
REMOVE_BY_RECOVERY_CODE = _remove_by_recovery_code()
RESET = _reset()
NOTE_FAILURE = _note_failure("note_wrong_code", "user.totp_failed")
NOTE_FAILED_LOGIN = _note_failure("note_wrong_code_at_login", "user.login_failed")
