"""What other rooms do with keys: claim one inside the statement that uses it, forget those that a record keeps."""

from typing import Any

from sqlalchemy import CTE, ColumnElement, Delete, FromClause, LargeBinary, bindparam, delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from app.db.schema import Text
from app.db.statement import constant
from app.idempotency.models import idempotency_keys
from app.idempotency.rules import ANSWER_KEPT


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


def forget_keys(*, operation: str, is_recorded: ColumnElement[bool]) -> Delete:
    """The oldest keys whose answers are no longer kept, `rows` at most.

    `is_recorded` says of a row of `idempotency_keys` that a record with a unique key made of it is there, so that the
    key executes nothing although its row is gone. Refused keys have none: nothing else would keep them refused.
    """
    identity = tuple_(*idempotency_keys.primary_key.columns)
    # A CTE, which runs once: a subquery with a limit may be run again for each row.
    expired = (
        select(*idempotency_keys.primary_key.columns)
        .where(
            idempotency_keys.c.operation == constant(operation),
            idempotency_keys.c.outcome.is_(None),
            idempotency_keys.c.created_at < func.now() - ANSWER_KEPT,
            is_recorded,
        )
        .order_by(idempotency_keys.c.created_at)
        .limit(bindparam("rows"))
        # A replay under way holds the row: next time, then.
        .with_for_update(skip_locked=True, of=idempotency_keys)
        .cte("expired_key")
    )
    return delete(idempotency_keys).where(identity.in_(select(expired)))
