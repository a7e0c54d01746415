"""Apps: set up, confirmed, asked for codes, removed."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
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
    insert,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert as insert_or_update

from app.audit.clauses import FAILURE, record
from app.db.schema import Uuid
from app.db.statement import Statement, compiled, constant
from app.identity.mfa.models import FAILED_AGO_S, recovery_codes
from app.identity.mfa.models import totp_secrets as apps
from app.identity.revocations.clauses import end_sessions, revoke_sessions
from app.identity.sessions.models import sessions
from app.identity.users.models import users


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


_CLINIC_ID = bindparam("clinic_id", type_=Integer)
_USER_ID = bindparam("user_id", type_=Uuid)
_SEALED = bindparam("sealed", type_=LargeBinary)
_OWN = and_(apps.c.clinic_id == _CLINIC_ID, apps.c.user_id == _USER_ID)


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
    )
    .select_from(users.outerjoin(apps, and_(apps.c.clinic_id == users.c.clinic_id, apps.c.user_id == users.c.id)))
    .where(users.c.clinic_id == _CLINIC_ID, users.c.id == _USER_ID),
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
    hashes = bindparam("code_hashes", type_=ARRAY(LargeBinary))
    codes = (
        insert(recovery_codes)
        .from_select(
            ["clinic_id", "user_id", "code_hash"],
            select(confirmed.c.clinic_id, confirmed.c.user_id, func.unnest(hashes).label("code_hash")),
        )
        .cte("codes")
    )
    query = select(confirmed.c.user_id).add_cte(
        codes, _told(confirmed, "user.totp_confirmed"), *_ends_other_sessions(confirmed)
    )
    return compiled("confirm_app", query, _first, is_write=True)


def _remove(name: str, app: CTE, *, action: str) -> Statement[UUID]:
    """`app` is gone, its recovery codes with it, and so are the user's other sessions."""
    query = select(app.c.user_id).add_cte(_told(app, action), *_ends_other_sessions(app))
    return compiled(name, query, _first, is_write=True)


def _gone(which: ColumnElement[bool]) -> CTE:
    return delete(apps).where(_OWN, which).returning(apps.c.clinic_id, apps.c.user_id).cte("gone_app")


def _gone_by_recovery_code() -> CTE:
    # Locked: a login that uses the same code at this moment is waited for, and then there is no such code.
    unused = (
        select(recovery_codes.c.user_id)
        .where(
            recovery_codes.c.clinic_id == _CLINIC_ID,
            recovery_codes.c.user_id == _USER_ID,
            recovery_codes.c.code_hash == bindparam("code_hash", type_=LargeBinary),
            recovery_codes.c.used_at.is_(None),
        )
        .with_for_update()
        .cte("unused_code")
    )
    return _gone(exists().where(unused.c.user_id == apps.c.user_id))


def _note_failure(name: str, action: str) -> Statement[UUID]:
    failed = (
        update(apps)
        .where(_OWN)
        .values(failures=apps.c.failures + 1, failed_at=func.now())
        .returning(apps.c.clinic_id, apps.c.user_id)
        .cte("failed_app")
    )
    audit = record(
        failed,
        action=action,
        entity_type="user",
        entity_id=failed.c.user_id,
        clinic_id=failed.c.clinic_id,
        outcome=FAILURE,
        details=func.jsonb_build_object(constant("reason"), constant("otp_invalid")),
    )
    return compiled(name, select(failed.c.user_id).add_cte(audit), _first, is_write=True)


def _told(app: CTE, action: str) -> CTE:
    who: dict[str, Any] = {"entity_id": app.c.user_id, "subject_id": app.c.user_id}
    return record(app, action=action, entity_type="user", clinic_id=app.c.clinic_id, **who)


def _ends_other_sessions(app: CTE) -> tuple[CTE, CTE]:
    ended = end_sessions(
        and_(
            sessions.c.clinic_id == app.c.clinic_id,
            sessions.c.user_id == app.c.user_id,
            sessions.c.id != bindparam("session_id", type_=Uuid),
        ),
        reason="second_factor_changed",
    )
    return ended, revoke_sessions(ended)


SET_UP = _set_up()
CONFIRM = _confirm()
# The row cannot be used up and deleted by one statement: that the step is a new one is asked while deleting.
REMOVE_BY_STEP = _remove(
    "remove_app_by_step",
    _gone(and_(apps.c.confirmed_at.is_not(None), apps.c.last_step < bindparam("step", type_=BigInteger))),
    action="user.totp_removed",
)
REMOVE_BY_RECOVERY_CODE = _remove("remove_app_by_recovery_code", _gone_by_recovery_code(), action="user.totp_removed")
RESET = _remove("reset_app", _gone(true()), action="user.totp_reset")
NOTE_FAILURE = _note_failure("note_wrong_code", "user.totp_failed")
NOTE_FAILED_LOGIN = _note_failure("note_wrong_code_at_login", "user.login_failed")
