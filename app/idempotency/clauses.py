"""What other rooms do with keys: claim one inside the statement that uses it, forget those that a record keeps."""

from typing import Any

from sqlalchemy import CTE, ColumnElement, Delete, FromClause, LargeBinary, bindparam, delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from app.db.schema import Text
from app.db.statement import constant
from app.idempotency.models import idempotency_keys
from app.idempotency.rules import ANSWER_KEPT

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
