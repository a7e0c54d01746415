"""The CTE that writes the audit row of a state change inside the statement that makes the change."""

from typing import Any

from sqlalchemy import CTE, ColumnElement, FromClause, bindparam, cast, func, insert, select

from app.audit.models import audit_logs
from app.db.schema import Text, Uuid
from app.db.statement import constant

SUCCESS, DENIED, FAILURE = "success", "denied", "failure"
ACTOR_ID = bindparam("actor_id", type_=Uuid)
ACTOR_ROLE = bindparam("actor_role", type_=Text)
REQUEST_ID = bindparam("request_id", type_=Text)


def record(
    source: FromClause,
    *,
    action: str,
    entity_type: str,
    entity_id: ColumnElement[Any],
    clinic_id: ColumnElement[int],
    row_id: ColumnElement[Any] | None = None,
    actor_id: ColumnElement[Any] = ACTOR_ID,
    actor_role: ColumnElement[Any] = ACTOR_ROLE,
    request_id: ColumnElement[Any] = REQUEST_ID,
    outcome: str = SUCCESS,
    details: ColumnElement[Any] | None = None,
    name: str = "audit",
) -> CTE:
    """One audit row for each row of `source`. Binds `audit_id`, `request_id`, `actor_id`, `actor_role` by default."""
    values = {
        "clinic_id": clinic_id,
        "id": bindparam("audit_id", type_=Uuid) if row_id is None else row_id,
        "actor_id": actor_id,
        "actor_role": actor_role,
        "action": constant(action),
        "entity_type": constant(entity_type),
        "entity_id": cast(entity_id, Text),
        "outcome": constant(outcome),
        "request_id": request_id,
        "details": func.jsonb_build_object() if details is None else details,
    }
    rows = select(*(value.label(column) for column, value in values.items())).select_from(source)
    return insert(audit_logs).from_select(list(values), rows).cte(name)
