"""The CTEs that write audit rows inside the statement that makes the change, or that reads."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    ColumnElement,
    FromClause,
    Integer,
    Subquery,
    bindparam,
    cast,
    func,
    insert,
    literal_column,
    null,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB

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
    subject_id: ColumnElement[Any] | None = None,
    outcome: str = SUCCESS,
    details: ColumnElement[Any] | None = None,
    name: str = "audit",
) -> CTE:
    """One audit row for each row of `source`. Binds `audit_id`, `request_id`, `actor_id`, `actor_role` by default.

    `subject_id` is whose record it is, and left out where that is always the actor or nobody: the row is then not
    among those that the person is told of, and not in their index.
    """
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
    if subject_id is not None:
        values["subject_id"] = func.nullif(subject_id, actor_id)
    rows = select(*(value.label(column) for column, value in values.items())).select_from(source)
    return insert(audit_logs).from_select(list(values), rows).cte(name)


def record_page(
    shown: Subquery, *, action: str, entity_type: str, subject: str = "patient_id", is_search: bool = False
) -> CTE:
    """One audit row for each person but the actor whose records are `shown`, with their ids; of a search at least one.

    Binds `audit_ids`, an id for each row that the page may hold, and `details`, what was asked for.
    """
    person = shown.c[subject]
    others = (
        select(person.label("subject_id"), func.jsonb_agg(shown.c.id).label("ids"))
        .where(person != ACTOR_ID)
        .group_by(person)
        .subquery("others")
    )
    asked = select(bindparam("audit_ids", type_=ARRAY(Uuid)).label("audit_ids")).subquery("asked")
    ids = func.jsonb_strip_nulls(func.jsonb_build_object(constant("ids"), others.c.ids))
    return record(
        asked.join(others, true(), isouter=is_search),
        action=action,
        entity_type=entity_type,
        entity_id=null(),
        clinic_id=bindparam("clinic_id", type_=Integer),
        row_id=asked.c.audit_ids[func.row_number().over()],
        subject_id=others.c.subject_id,
        details=bindparam("details", type_=JSONB).op("||")(ids),
    )


def shown_of(page: CTE, order: Sequence[ColumnElement[Any]]) -> Subquery:
    """Of a page with `rows` rows those that are shown: the last one only tells that there is a next page."""
    rows: ColumnElement[int] = bindparam("rows", type_=Integer)
    return select(page).order_by(*order).limit(rows - literal_column("1")).subquery("shown")
