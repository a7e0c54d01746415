"""The CTE that uses a passkey inside the statement that it is for."""

from sqlalchemy import (
    CTE,
    BigInteger,
    Integer,
    LargeBinary,
    and_,
    bindparam,
    func,
    or_,
    update,
)

from app.db.schema import Uuid
from app.identity.passkeys.models import IS_FRESH, passkeys
from app.identity.passkeys.models import passkey_challenges as challenges


def use_passkey() -> CTE:
    """The user's passkey that has answered a challenge, counted on, and the challenge spent.

    Nothing where the challenge was spent or is too old. Binds `clinic_id`, `user_id`, `challenge`, `passkey_id`,
    `sign_count`.
    """
    told = bindparam("sign_count", type_=BigInteger)
    spent = (
        update(challenges)
        .where(
            challenges.c.clinic_id == bindparam("clinic_id", type_=Integer),
            challenges.c.challenge == bindparam("challenge", type_=LargeBinary),
            challenges.c.user_id == bindparam("user_id", type_=Uuid),
            challenges.c.password_digest.is_not(None),
            challenges.c.spent_at.is_(None),
            IS_FRESH,
        )
        .values(spent_at=func.now())
        .returning(challenges.c.clinic_id, challenges.c.user_id)
        .cte("spent_challenge")
    )
    return (
        update(passkeys)
        .where(
            passkeys.c.clinic_id == spent.c.clinic_id,
            passkeys.c.user_id == spent.c.user_id,
            passkeys.c.id == bindparam("passkey_id", type_=Uuid),
            # As `rules.counts_on`, of the row as it is now: of two copies at once, one is refused.
            or_(passkeys.c.sign_count < told, and_(passkeys.c.sign_count == 0, told == 0)),
        )
        .values(sign_count=told, last_used_at=func.now())
        .returning(passkeys.c.clinic_id, passkeys.c.user_id)
        .cte("used_passkey")
    )
