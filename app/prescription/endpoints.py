"""`/prescriptions/`, and those of a patient whose record was opened."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request

from app.encryption.depends import Ring
from app.http.depends import Db, RequestId
from app.http.fields import RecordId
from app.http.paging import Page, PageQuery, Scroll, scroll
from app.http.problems import refusals
from app.idempotency import endpoints as idempotency
from app.identity.guard import Caller, GuardedRoute, requires
from app.identity.rules import Permission
from app.kit.errors import InvalidCursor, NotFound
from app.prescription import rules, schemas, service
from app.prescription.errors import ConsultationNotCompleted, PrescriptionExists
from app.prescription.rules import Prescription

router = APIRouter(route_class=GuardedRoute, tags=["Prescriptions"])


@router.post(
    "/prescriptions/",
    status_code=201,
    response_model=schemas.Prescription,
    responses=idempotency.documented(NotFound, ConsultationNotCompleted, PrescriptionExists, is_required=True),
)
@requires(Permission.PRESCRIBE, headers=idempotency.check_required)
async def issue_prescription(
    body: schemas.NewPrescription,
    key: idempotency.RequiredKey,
    caller: Caller,
    db: Db,
    ring: Ring,
    request_id: RequestId,
) -> Any:
    """Prescribe after your completed consultation, exactly once.

    One prescription for a consultation, never edited. Retry with the same key, as when booking.
    """
    scoped = key.scoped(clinic_id=caller.clinic_id, user_id=caller.user_id, operation=service.OPERATION, body=body)
    issued = await service.issue_prescription(
        db,
        ring,
        consultation_id=body.consultation_id,
        items=[item.model_dump() for item in body.items],
        notes=body.notes,
        key=scoped,
        request_id=request_id,
    )
    return key.answered(issued, location=rules.location(issued.result.id))


@router.get("/prescriptions/my", response_model=Page[schemas.Prescription], responses=refusals(InvalidCursor))
@requires(Permission.SEE_PRESCRIPTIONS)
async def list_own_prescriptions(
    query: Annotated[PageQuery, Query()], request: Request, caller: Caller, db: Db, ring: Ring, request_id: RequestId
) -> Any:
    """List the prescriptions that you received (as a patient) or issued (as a doctor), newest first.

    A doctor leaves a row in the audit log for each patient on the page.
    """
    here = scroll(request, query, name="own_prescriptions", caller=caller.user_id, parts=1)
    rows = await service.find_own_prescriptions(
        db, ring, actor=caller, before=_position(here), limit=here.rows_wanted, request_id=request_id
    )
    return here.page(rows, _place)


@router.get(
    "/patients/{id}/prescriptions", response_model=Page[schemas.Prescription], responses=refusals(InvalidCursor)
)
@requires(Permission.BREAK_GLASS)
async def list_prescriptions_of_patient(
    id: RecordId,
    query: Annotated[PageQuery, Query()],
    request: Request,
    caller: Caller,
    db: Db,
    ring: Ring,
    request_id: RequestId,
) -> Any:
    """List all prescriptions of a patient whose record you have opened (break-glass), newest first.

    Leaves a row in the audit log, which the patient sees.
    """
    here = scroll(request, query, name=f"prescriptions_of/{id}", caller=caller.user_id, parts=1)
    rows = await service.find_prescriptions_of_patient(
        db,
        ring,
        patient_id=id,
        actor=caller,
        before=_position(here),
        limit=here.rows_wanted,
        request_id=request_id,
    )
    return here.page(rows, _place)


@router.get("/prescriptions/{id}", response_model=schemas.Prescription)
@requires(Permission.SEE_PRESCRIPTIONS)
async def read_prescription(id: RecordId, caller: Caller, db: Db, ring: Ring, request_id: RequestId) -> Any:
    """Read one prescription: its patient, its doctor, or a doctor who has opened the patient's record.

    A doctor leaves a row in the audit log.
    """
    return await service.read_prescription(db, ring, prescription_id=id, actor=caller, request_id=request_id)


def _position(here: Scroll) -> UUID | None:
    return UUID(here.position[0]) if here.position else None


def _place(prescription: Prescription) -> list[object]:
    return [prescription.id]
