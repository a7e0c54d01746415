"""`/consultations/`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request

from app.consultation import schemas, service
from app.consultation.errors import InvalidTransition, TooLate
from app.db.database import Database
from app.http.depends import Db, RequestId
from app.http.fields import RecordId
from app.http.paging import Page, scroll
from app.http.problems import refusals
from app.identity.guard import Caller, GuardedRoute, requires
from app.identity.rules import Permission, Principal
from app.kit.errors import InvalidCursor

router = APIRouter(route_class=GuardedRoute, tags=["Consultations"])


@router.get("/consultations/my", response_model=Page[schemas.Consultation], responses=refusals(InvalidCursor))
@requires(Permission.SEE_OWN_CONSULTATIONS)
async def list_own_consultations(
    query: Annotated[schemas.OwnConsultationQuery, Query()], request: Request, caller: Caller, db: Db
) -> Any:
    """List your own consultations, newest start first."""
    own = {f"{caller.role}_id": caller.user_id}
    return await _page(request, query, caller, db, name="own_consultations", filters=own)


@router.get("/consultations/", response_model=Page[schemas.Consultation], responses=refusals(InvalidCursor))
@requires(Permission.SEE_ALL_CONSULTATIONS)
async def list_consultations(
    query: Annotated[schemas.ConsultationQuery, Query()], request: Request, caller: Caller, db: Db
) -> Any:
    """List the clinic's consultations, newest start first."""
    people = {"doctor_id": query.doctor_id, "patient_id": query.patient_id}
    return await _page(request, query, caller, db, name="consultations", filters=people)


@router.get("/consultations/{id}", response_model=schemas.Consultation)
@requires(Permission.SEE_CONSULTATION)
async def read_consultation(id: RecordId, caller: Caller, db: Db) -> Any:
    """Read one consultation: its patient, its doctor, or an admin."""
    return await service.get_consultation(db, consultation_id=id, actor=caller)


@router.patch(
    "/consultations/{id}/status",
    response_model=schemas.Consultation,
    responses=refusals(InvalidTransition, TooLate),
)
@requires(Permission.CHANGE_CONSULTATION)
async def change_status(id: RecordId, body: schemas.StatusChange, caller: Caller, db: Db, request_id: RequestId) -> Any:
    """Complete or cancel a consultation.

    Its doctor completes. Its patient (before it starts), its doctor and an admin cancel; the slot of a consultation
    that has not started opens again. Completed and cancelled are final; repeating the present status changes nothing.
    """
    return await service.change_status(
        db, consultation_id=id, status=body.status, reason=body.reason, actor=caller, request_id=request_id
    )


async def _page(
    request: Request,
    query: schemas.OwnConsultationQuery,
    caller: Principal,
    db: Database,
    *,
    name: str,
    filters: Mapping[str, object],
) -> dict[str, object]:
    here = scroll(request, query, name=name, caller=caller.user_id, parts=2)
    rows = await service.find_consultations(
        db,
        clinic_id=caller.clinic_id,
        filters={**filters, "status": query.status, "from_": query.from_, "to": query.to},
        before=(datetime.fromisoformat(here.position[0]), UUID(here.position[1])) if here.position else None,
        limit=here.rows_wanted,
    )
    return here.page(rows, lambda row: [row.starts_at.isoformat(), row.id])
