"""The CTE that spends a code inside the statement that it is for, and who has a second factor."""

from sqlalchemy import CTE, BigInteger, ColumnElement, FromClause, Integer, and_, bindparam, exists, or_, update

from app.db.schema import Uuid
from app.identity.mfa.models import totp_secrets
from app.identity.passkeys.models import has_passkey
from app.identity.users.models import IS_FACTOR_DEMANDED, users


def spend_step() -> CTE:
    """The user's app, its code of step `step` used up; none if that step was used. Binds `clinic_id`, `user_id`."""
    step = bindparam("step", type_=BigInteger)
    return (
        update(totp_secrets)
        .where(
            totp_secrets.c.clinic_id == bindparam("clinic_id", type_=Integer),
            totp_secrets.c.user_id == bindparam("user_id", type_=Uuid),
            totp_secrets.c.confirmed_at.is_not(None),
            totp_secrets.c.last_step < step,
        )
        .values(last_step=step, failures=0)
        .returning(totp_secrets.c.clinic_id, totp_secrets.c.user_id)
        .cte("spent_code")
    )


def has_app(user: FromClause) -> ColumnElement[bool]:
    """Whether the user has confirmed an app. `user` has columns `clinic_id` and `id`."""
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


def has_factor(user: FromClause) -> ColumnElement[bool]:
    """Whether the user has a second factor. `user` has columns `clinic_id` and `id`."""
    return or_(has_app(user), has_passkey(user))


# Whether the clinic demands a second factor of this user, a row of `users` beside its `clinics`, who has none yet.
NEEDS_FACTOR: ColumnElement[bool] = and_(IS_FACTOR_DEMANDED, ~has_factor(users))
