"""The CTE that claims a key inside the statement that uses it."""

from typing import Any

from sqlalchemy import CTE, ColumnElement, FromClause, LargeBinary, bindparam, select
from sqlalchemy.dialects.postgresql import insert

from app.db.schema import Text
from app.db.statement import constant
from app.idempotency.models import idempotency_keys


def claim_key(caller: FromClause, *, operation: str, outcome: ColumnElement[Any] | None = None) -> CTE:
    """One row if this statement is the first to use the key, none if it was used before.

    `caller` gives `clinic_id` and `id`; no row of it, no claim. Binds `key` and `fingerprint`. An equal key in flight
    is waited for: the insert blocks on the unique index until the other transaction ends.
    """
    values: dict[str, ColumnElement[Any]] = {
        "clinic_id": caller.c.clinic_id,
        "user_id": caller.c.id,
        "operation": constant(operation),
        "key": bindparam("key", type_=Text),
        "fingerprint": bindparam("fingerprint", type_=LargeBinary),
    }
    if outcome is not None:
        values["outcome"] = outcome
    row = select(*(value.label(column) for column, value in values.items())).select_from(caller)
    return (
        insert(idempotency_keys)
        .from_select(list(values), row)
        .on_conflict_do_nothing()
        .returning(idempotency_keys.c.clinic_id, idempotency_keys.c.user_id, idempotency_keys.c.key)
        .cte("claimed_key")
    )
