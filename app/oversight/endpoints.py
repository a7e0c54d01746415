"""`GET /audit-logs/` and `GET /users/me/access-log`."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request

from app.audit.service import find_rows
from app.audit.sql import AuditRow
from app.encryption.depends import Ring
from app.http.depends import Db
from app.http.paging import Page, Scroll, scroll
from app.http.problems import refusals
from app.identity.guard import Caller, GuardedRoute, requires
from app.identity.rules import Permission
from app.kit.errors import InvalidCursor
from app.oversight import schemas, service
from app.oversight.sql import Access

router = APIRouter(route_class=GuardedRoute, tags=["Audit"])


@router.get("/audit-logs/", response_model=Page[schemas.AuditRow], responses=refusals(InvalidCursor))
@requires(Permission.READ_AUDIT_LOG)
async def list_audit_rows(
    query: Annotated[schemas.AuditQuery, Query()], request: Request, caller: Caller, db: Db
) -> Any:
    """Read who did what, newest first."""
    here = scroll(request, query, name="audit_rows", caller=caller.user_id, parts=2)
    filters = query.model_dump(exclude={"limit", "cursor"})
    rows = await find_rows(
        db,
        clinic_id=caller.clinic_id,
        filters=filters,
        before=_position(here),
        limit=here.rows_wanted,
    )
    return here.page(rows, _place)


@router.get("/users/me/access-log", response_model=Page[schemas.Access], responses=refusals(InvalidCursor))
@requires(Permission.KEEP_OWN_ACCOUNT)
async def list_accesses(
    query: Annotated[schemas.AccessQuery, Query()], request: Request, caller: Caller, db: Db, ring: Ring
) -> Any:
    """See who else read or changed your record: consultations, prescriptions, account; newest first.

    With the name of the doctor or admin, and the reason if a doctor opened your record in an emergency. What you did
    yourself is not in it, nor what was refused. Without an `actor_id`, it was done at the clinic's own computer.
    """
    here = scroll(request, query, name="access_log", caller=caller.user_id, parts=2)
    rows = await service.find_accesses(
        db,
        ring,
        principal=caller,
        filters={"from_": query.from_, "to": query.to},
        before=_position(here),
        limit=here.rows_wanted,
    )
    return here.page(rows, _place)


def _position(here: Scroll) -> tuple[datetime, UUID] | None:
    return (datetime.fromisoformat(here.position[0]), UUID(here.position[1])) if here.position else None


def _place(row: AuditRow | Access) -> list[object]:
    return [row.occurred_at.isoformat(), row.id]
