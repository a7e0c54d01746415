"""The CTEs that spend a code inside the statement that it is for."""

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    LargeBinary,
    and_,
    bindparam,
    exists,
    func,
    update,
)

from app.db.schema import Uuid
from app.identity.mfa.models import recovery_codes, totp_secrets
from app.identity.users.models import IS_FACTOR_DEMANDED, users

_CLINIC_ID = bindparam("clinic_id", type_=Integer)
_USER_ID = bindparam("user_id", type_=Uuid)


def spend_step() -> CTE:
    """The user's app, its code of step `step` used up; none if that step was used. Binds `clinic_id`, `user_id`."""
    step = bindparam("step", type_=BigInteger)
    return (
        update(totp_secrets)
        .where(
            totp_secrets.c.clinic_id == _CLINIC_ID,
            totp_secrets.c.user_id == _USER_ID,
            totp_secrets.c.confirmed_at.is_not(None),
            totp_secrets.c.last_step < step,
        )
        .values(last_step=step, failures=0)
        .returning(totp_secrets.c.clinic_id, totp_secrets.c.user_id)
        .cte("spent_code")
    )


def spend_recovery_code() -> CTE:
    """The user's recovery code with `code_hash`, used up; none if it was. Binds `clinic_id`, `user_id`."""
    return (
        update(recovery_codes)
        .where(
            recovery_codes.c.clinic_id == _CLINIC_ID,
            recovery_codes.c.user_id == _USER_ID,
            recovery_codes.c.code_hash == bindparam("code_hash", type_=LargeBinary),
            recovery_codes.c.used_at.is_(None),
        )
        .values(used_at=func.now())
        .returning(recovery_codes.c.clinic_id, recovery_codes.c.user_id)
        .cte("spent_code")
    )


def has_factor(user: FromClause) -> ColumnElement[bool]:
    """Whether the user has a second factor. `user` has columns `clinic_id` and `id`."""
    return (
        exists()
        .where(
            totp_secrets.c.clinic_id == user.c.clinic_id,
            totp_secrets.c.user_id == user.c.id,
            totp_secrets.c.confirmed_at.is_not(None),
        )
        # Beside the table of apps, too, it asks that table anew.
        .correlate(user)
    )


# Whether the clinic demands a second factor of this user, a row of `users` beside its `clinics`, who has none yet.
NEEDS_FACTOR: ColumnElement[bool] = and_(IS_FACTOR_DEMANDED, ~has_factor(users))
