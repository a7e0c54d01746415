"""`POST /bookings/`."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from app.booking import errors, service
from app.consultation.rules import Consultation
from app.http.depends import Db, RequestId
from app.http.fields import Body, SlotNumber
from app.idempotency import endpoints as idempotency
from app.identity.guard import Caller, GuardedRoute, requires
from app.identity.rules import Permission

router = APIRouter(route_class=GuardedRoute, tags=["Booking"])


class BookingRequest(Body):
    """The slot that the patient wants."""

    slot_id: Annotated[SlotNumber, Field(examples=[10])]


@router.post(
    "/bookings/",
    status_code=201,
    response_model=Consultation,
    responses=idempotency.documented(
        errors.SlotNotFound,
        errors.SlotAlreadyYours,
        errors.SlotUnavailable,
        errors.PatientOverlap,
        errors.BookingLimitReached,
        is_required=True,
    ),
)
@requires(Permission.BOOK_SLOTS, headers=idempotency.check_required)
async def book_slot(
    body: BookingRequest,
    key: idempotency.RequiredKey,
    caller: Caller,
    db: Db,
    request_id: RequestId,
) -> Any:
    """Book a slot, exactly once.

    Retry with the same key until there is an answer: the first one is given again, whatever has happened since. A
    refusal sticks to its key; to try again, send a new key. A 503 means "rolled back or unknown": same key again.
    """
    scoped = key.scoped(clinic_id=caller.clinic_id, user_id=caller.user_id, operation=service.OPERATION, body=body)
    booked = await service.book_slot(db, slot_id=body.slot_id, key=scoped, request_id=request_id)
    return key.answered(booked, location=service.location(booked.result.id))
