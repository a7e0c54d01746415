"""The CTEs that give, spend and take back recovery codes inside the statement that is the reason for it."""

from sqlalchemy import (
    ARRAY,
    CTE,
    ColumnElement,
    FromClause,
    Integer,
    LargeBinary,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from app.db.schema import Uuid
from app.identity.recovery.models import recovery_codes as codes

_CLINIC_ID = bindparam("clinic_id", type_=Integer)
_USER_ID = bindparam("user_id", type_=Uuid)
_HASH = bindparam("code_hash", type_=LargeBinary)


def spend_recovery_code(*conditions: ColumnElement[bool]) -> CTE:
    """The user's recovery code with `code_hash`, used up; none if it was. Binds `clinic_id`, `user_id`."""
    return (
        update(codes)
        .where(
            codes.c.clinic_id == _CLINIC_ID,
            codes.c.user_id == _USER_ID,
            codes.c.code_hash == _HASH,
            codes.c.used_at.is_(None),
            *conditions,
        )
        .values(used_at=func.now())
        .returning(codes.c.clinic_id, codes.c.user_id)
        .cte("spent_code")
    )


def replace_codes(owner: FromClause) -> tuple[CTE, CTE]:
    """Codes with `code_hashes` in the place of all earlier ones. `owner` has `clinic_id` and `user_id`."""
    hashes = func.unnest(bindparam("code_hashes", type_=ARRAY(LargeBinary))).label("code_hash")
    fresh = select(owner.c.clinic_id, owner.c.user_id, hashes)
    given = insert(codes).from_select(["clinic_id", "user_id", "code_hash"], fresh).cte("given_codes")
    return take_codes(owner), given


def take_codes(owner: FromClause, *conditions: ColumnElement[bool]) -> CTE:
    """All codes of `owner`, if there is a row, are gone. Binds `clinic_id`, `user_id`."""
    is_theirs = and_(codes.c.clinic_id == _CLINIC_ID, codes.c.user_id == _USER_ID)
    return delete(codes).where(is_theirs, exists(select(owner.c.user_id)), *conditions).cte("taken_codes")


def is_another_code() -> ColumnElement[bool]:
    """Of the codes to take, not the one that the same statement spends: no row is changed twice by one statement."""
    return codes.c.code_hash != _HASH
