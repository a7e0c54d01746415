"""Reading the audit log, and the rows that are no part of a change: refusals and failed logins."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, func, insert, select, tuple_
from sqlalchemy.dialects.postgresql import JSONB

from app.audit.models import audit_logs
from app.db.schema import Instant, Text, Uuid
from app.db.statement import Statement, compiled


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One thing that somebody did, or was refused."""

    id: UUID
    occurred_at: datetime
    actor_id: UUID | None
    actor_role: str | None
    action: str
    entity_type: str
    entity_id: str | None
    outcome: str
    request_id: str
    details: dict[str, Any]


_COLUMNS = [audit_logs.c[name] for name in AuditRow.__dataclass_fields__]

RECORD_EVENT = compiled(
    "record_event",
    # Without `inline` it would return the time, and with that read what only admins may.
    insert(audit_logs)
    .inline()
    .values(
        clinic_id=bindparam("clinic_id"),
        id=bindparam("audit_id", type_=Uuid),
        actor_id=bindparam("actor_id", type_=Uuid),
        actor_role=bindparam("actor_role", type_=Text),
        action=bindparam("action", type_=Text),
        entity_type=bindparam("entity_type", type_=Text),
        entity_id=bindparam("entity_id", type_=Text),
        outcome=bindparam("outcome", type_=Text),
        request_id=bindparam("request_id", type_=Text),
        details=bindparam("details", type_=JSONB),
    ),
    int,
    is_write=True,
)

MAKE_MONTHS = compiled("make_audit_months", select(func.make_audit_months()), int, is_write=True)

_FILTERS = {
    "actor_id": audit_logs.c.actor_id == bindparam("actor_id", type_=Uuid),
    "action": audit_logs.c.action == bindparam("action", type_=Text),
    "entity_type": audit_logs.c.entity_type == bindparam("entity_type", type_=Text),
    "entity_id": audit_logs.c.entity_id == bindparam("entity_id", type_=Text),
    "from_": audit_logs.c.occurred_at >= bindparam("from_", type_=Instant),
    "to": audit_logs.c.occurred_at < bindparam("to", type_=Instant),
    "before_at": tuple_(audit_logs.c.occurred_at, audit_logs.c.id)
    < tuple_(bindparam("before_at", type_=Instant), bindparam("before_id", type_=Uuid)),
}
FILTERS = frozenset(_FILTERS)


@cache
def audit_rows(given: frozenset[str]) -> Statement[AuditRow]:
    """The clinic's rows that match the given filters, newest first. Binds `clinic_id`, `rows` and the filters."""
    # Sorted, `before_at` stands before `to`: of two bounds PostgreSQL 18 begins its scan at the first one.
    query = (
        select(*_COLUMNS)
        .where(audit_logs.c.clinic_id == bindparam("clinic_id"), *(_FILTERS[name] for name in sorted(given)))
        .order_by(audit_logs.c.occurred_at.desc(), audit_logs.c.id.desc())
        .limit(bindparam("rows"))
    )
    return compiled("audit_rows", query, AuditRow, is_personal=True)
