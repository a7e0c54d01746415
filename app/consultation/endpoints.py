"""`/consultations/`, and those of a patient whose record was opened."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request

from app.consultation import schemas, service
from app.consultation.errors import InvalidTransition, TooLate
from app.consultation.rules import Consultation
from app.encryption.depends import Ring
from app.http.depends import Db, RequestId
from app.http.fields import RecordId
from app.http.paging import Page, Scroll, scroll
from app.http.problems import refusals
from app.identity.guard import Caller, GuardedRoute, requires
from app.identity.rules import Permission
from app.kit.errors import InvalidCursor

router = APIRouter(route_class=GuardedRoute, tags=["Consultations"])


@router.get("/consultations/my", response_model=Page[Consultation], responses=refusals(InvalidCursor))
@requires(Permission.SEE_OWN_CONSULTATIONS)
async def list_own_consultations(
    query: Annotated[schemas.OwnConsultationQuery, Query()], request: Request, caller: Caller, db: Db, ring: Ring
) -> Any:
    """List your own consultations, newest start first."""
    here = scroll(request, query, name="own_consultations", caller=caller.user_id, parts=2)
    rows = await service.find_own_consultations(
        db, ring, actor=caller, filters=_filters(query), before=_position(here), limit=here.rows_wanted
    )
    return here.page(rows, _place)


@router.get("/consultations/", response_model=Page[Consultation], responses=refusals(InvalidCursor))
@requires(Permission.SEE_ALL_CONSULTATIONS)
async def list_consultations(
    query: Annotated[schemas.ConsultationQuery, Query()],
    request: Request,
    caller: Caller,
    db: Db,
    ring: Ring,
    request_id: RequestId,
) -> Any:
    """List the clinic's consultations, newest start first.

    Leaves a row in the audit log for each patient on the page.
    """
    here = scroll(request, query, name="consultations", caller=caller.user_id, parts=2)
    rows = await service.find_consultations(
        db,
        ring,
        actor=caller,
        filters=_filters(query),
        before=_position(here),
        limit=here.rows_wanted,
        request_id=request_id,
    )
    return here.page(rows, _place)


@router.get("/consultations/{id}", response_model=Consultation)
@requires(Permission.SEE_CONSULTATION)
async def read_consultation(id: RecordId, caller: Caller, db: Db, ring: Ring, request_id: RequestId) -> Any:
    """Read one consultation: its patient, its doctor, an admin, or a doctor who has opened the patient's record.

    Who is not its patient leaves a row in the audit log.
    """
    return await service.read_consultation(db, ring, consultation_id=id, actor=caller, request_id=request_id)


@router.get("/patients/{id}/consultations", response_model=Page[Consultation], responses=refusals(InvalidCursor))
@requires(Permission.BREAK_GLASS)
async def list_consultations_of_patient(
    id: RecordId,
    query: Annotated[schemas.OwnConsultationQuery, Query()],
    request: Request,
    caller: Caller,
    db: Db,
    ring: Ring,
    request_id: RequestId,
) -> Any:
    """List all consultations of a patient whose record you have opened (break-glass), newest start first.

    Leaves a row in the audit log, which the patient sees.
    """
    here = scroll(request, query, name=f"consultations_of/{id}", caller=caller.user_id, parts=2)
    rows = await service.find_consultations_of_patient(
        db,
        ring,
        patient_id=id,
        actor=caller,
        filters=_filters(query),
        before=_position(here),
        limit=here.rows_wanted,
        request_id=request_id,
    )
    return here.page(rows, _place)


@router.patch(
    "/consultations/{id}/status",
    response_model=Consultation,
    responses=refusals(InvalidTransition, TooLate),
)
@requires(Permission.CHANGE_CONSULTATION)
async def change_status(
    id: RecordId, body: schemas.StatusChange, caller: Caller, db: Db, ring: Ring, request_id: RequestId
) -> Any:
    """Complete or cancel a consultation.

    Its doctor completes. Its patient (before it starts), its doctor and an admin cancel; the slot of a consultation
    that has not started opens again. Completed and cancelled are final; repeating the present status changes nothing.
    """
    return await service.change_status(
        db, ring, consultation_id=id, status=body.status, reason=body.reason, actor=caller, request_id=request_id
    )


def _filters(query: schemas.OwnConsultationQuery) -> dict[str, object]:
    return query.model_dump(exclude={"limit", "cursor"})


def _position(here: Scroll) -> service.Position | None:
    if not here.position:
        return None
    starts_at, id = here.position
    return datetime.fromisoformat(starts_at), UUID(id)


def _place(consultation: Consultation) -> list[object]:
    return [consultation.starts_at.isoformat(), consultation.id]
