"""The CTE that writes an outgoing event inside the statement that makes it true."""

from typing import Any

from sqlalchemy import CTE, ColumnElement, FromClause, bindparam, cast, func, insert, select

from app.db.schema import Text, Uuid
from app.db.statement import constant
from app.outbox.models import outbox

EVENT_ID = bindparam("event_id", type_=Uuid)


def announce(
    source: FromClause,
    *,
    topic: str,
    entity_id: ColumnElement[Any],
    clinic_id: ColumnElement[int],
    event_id: ColumnElement[Any] = EVENT_ID,
    is_delivered: bool = False,
) -> CTE:
    """One event for each row of `source`. Binds `event_id` by default. One that is delivered is due at once.

    No NOTIFY here: it takes a lock that serialises all commits (docs/decisions/0001).
    """
    values: dict[str, ColumnElement[Any]] = {
        "clinic_id": clinic_id,
        "id": event_id,
        "topic": constant(topic),
        "entity_id": cast(entity_id, Text),
    }
    if is_delivered:
        values["due_at"] = func.now()
    rows = select(*(value.label(column) for column, value in values.items())).select_from(source)
    return insert(outbox).from_select(list(values), rows).cte("event")
