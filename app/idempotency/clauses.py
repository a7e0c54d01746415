"""The CTE that claims a key inside the statement that uses it."""

from typing import Any

from sqlalchemy import CTE, ColumnElement, FromClause, LargeBinary, bindparam, select
from sqlalchemy.dialects.postgresql import insert

from app.db.schema import Text
from app.db.statement import constant
from app.idempotency.models import idempotency_keys

KEY = bindparam("key", type_=Text)
FINGERPRINT = bindparam("fingerprint", type_=LargeBinary)


def claim_key(
    caller: FromClause,
    *,
    operation: str,
    user_id: ColumnElement[Any] | None = None,
    key: ColumnElement[Any] = KEY,
    fingerprint: ColumnElement[Any] = FINGERPRINT,
    outcome: ColumnElement[Any] | None = None,
) -> CTE:
    """One row for each row of `caller` that is the first to use its key, none if it was used before.

    `caller` gives `clinic_id` and `id`, or another `user_id`. Binds `key` and `fingerprint` by default. An equal key
    in flight is waited for: the insert blocks on the unique index until the other transaction ends. Several keys are
    claimed in their order, so that no two statements wait for each other.
    """
    values: dict[str, ColumnElement[Any]] = {
        "clinic_id": caller.c.clinic_id,
        "user_id": caller.c.id if user_id is None else user_id,
        "operation": constant(operation),
        "key": key,
        "fingerprint": fingerprint,
    }
    if outcome is not None:
        values["outcome"] = outcome
    row = select(*(value.label(column) for column, value in values.items())).select_from(caller)
    if key is not KEY:
        row = row.order_by(caller.c.clinic_id, values["user_id"], key)
    return (
        insert(idempotency_keys)
        .from_select(list(values), row)
        .on_conflict_do_nothing()
        .returning(idempotency_keys.c.clinic_id, idempotency_keys.c.user_id, idempotency_keys.c.key)
        .cte("claimed_key")
    )
