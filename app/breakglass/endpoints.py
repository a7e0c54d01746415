"""`/patients/{id}/break-glass` and `/break-glass/`."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request

from app.breakglass import schemas, service
from app.breakglass.errors import AlreadyReviewed
from app.encryption.depends import Ring
from app.http.depends import Db, RequestId
from app.http.fields import RecordId
from app.http.paging import Page, scroll
from app.http.problems import refusals
from app.identity.guard import Caller, GuardedRoute, requires
from app.identity.rules import Permission
from app.kit.errors import InvalidCursor

router = APIRouter(route_class=GuardedRoute, tags=["Break-glass"])


@router.post("/patients/{id}/break-glass", status_code=201, response_model=schemas.Grant)
@requires(Permission.BREAK_GLASS)
async def open_record(
    id: RecordId, body: schemas.Emergency, caller: Caller, db: Db, ring: Ring, request_id: RequestId
) -> Any:
    """Open the record of a patient who is not yours, in an emergency.

    For an hour you may read, and not change, the patient's consultations and prescriptions. The patient is told, with
    your name and reason; an admin reviews it. Every call is recorded, also while an earlier grant is in force.
    """
    return await service.open_record(db, ring, patient_id=id, reason=body.reason, actor=caller, request_id=request_id)


@router.get("/break-glass/", response_model=Page[schemas.GrantForReview], responses=refusals(InvalidCursor))
@requires(Permission.REVIEW_BREAK_GLASS)
async def list_grants(
    query: Annotated[schemas.GrantQuery, Query()],
    request: Request,
    caller: Caller,
    db: Db,
    ring: Ring,
    request_id: RequestId,
) -> Any:
    """List who opened whose record and why, oldest first; with `reviewed=false`, what waits for you.

    Leaves a row in the audit log for each patient on the page.
    """
    here = scroll(request, query, name="break_glass", caller=caller.user_id, parts=1)
    rows = await service.find_grants(
        db,
        ring,
        reviewed=query.reviewed,
        after=UUID(here.position[0]) if here.position else None,
        limit=here.rows_wanted,
        actor=caller,
        request_id=request_id,
    )
    return here.page(rows, lambda grant: [grant.id])


@router.post("/break-glass/{id}/review", response_model=schemas.GrantForReview, responses=refusals(AlreadyReviewed))
@requires(Permission.REVIEW_BREAK_GLASS)
async def review_grant(
    id: RecordId, body: schemas.Review, caller: Caller, db: Db, ring: Ring, request_id: RequestId
) -> Any:
    """Say that you have looked at it, with a note if there is something to say. Once, and not of your own."""
    return await service.review(db, ring, grant_id=id, note=body.note, actor=caller, request_id=request_id)
