"""`GET /audit-logs/`."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request

from app.audit import service
from app.http.depends import Db
from app.http.paging import Page, scroll
from app.http.problems import refusals
from app.identity.guard import Caller, GuardedRoute, requires
from app.identity.rules import Permission
from app.kit.errors import InvalidCursor
from app.oversight import schemas

router = APIRouter(route_class=GuardedRoute, tags=["Audit"])


@router.get("/audit-logs/", response_model=Page[schemas.AuditRow], responses=refusals(InvalidCursor))
@requires(Permission.READ_AUDIT_LOG)
async def list_audit_rows(
    query: Annotated[schemas.AuditQuery, Query()], request: Request, caller: Caller, db: Db
) -> Any:
    """Read who did what, newest first."""
    here = scroll(request, query, name="audit_rows", caller=caller.user_id, parts=2)
    filters = query.model_dump(exclude={"limit", "cursor"})
    rows = await service.find_rows(
        db,
        clinic_id=caller.clinic_id,
        filters=filters,
        before=(datetime.fromisoformat(here.position[0]), UUID(here.position[1])) if here.position else None,
        limit=here.rows_wanted,
    )
    return here.page(rows, lambda row: [row.occurred_at.isoformat(), row.id])
