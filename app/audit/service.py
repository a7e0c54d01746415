"""Writing down what is no part of a change, and reading what was written."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from app.audit import sql
from app.audit.sql import AuditRow
from app.db.database import Database
from app.kit.ids import uuid7


async def record_event(
    db: Database,
    *,
    clinic_id: int,
    action: str,
    entity_type: str,
    outcome: str,
    request_id: str,
    actor_id: UUID | None = None,
    actor_role: str | None = None,
    entity_id: str | None = None,
    details: Mapping[str, object] | None = None,
) -> None:
    """One row of its own; for a state change, lend `clauses.record` to its statement instead."""
    await db.execute(
        sql.RECORD_EVENT,
        clinic_id=clinic_id,
        audit_id=uuid7(),
        actor_id=actor_id,
        actor_role=actor_role,
        action=action,
        entity_type=entity_type,
        entity_id=entity_id,
        outcome=outcome,
        request_id=request_id,
        details=dict(details or {}),
    )


async def find_rows(
    db: Database,
    *,
    clinic_id: int,
    filters: Mapping[str, object],
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> list[AuditRow]:
    """The clinic's rows that match, newest first, after the row at `before`."""
    values = {name: value for name, value in filters.items() if value is not None}
    given = frozenset(values)
    if before is not None:
        given |= {"before_at"}
        values.update(before_at=before[0], before_id=before[1])
    return await db.many(sql.audit_rows(given), clinic_id=clinic_id, rows=limit, **values)
