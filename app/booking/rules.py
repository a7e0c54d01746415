"""Why a booking was refused: the first reason that applies is told."""

from uuid import UUID

from app.booking.errors import BookingLimitReached, PatientOverlap, SlotAlreadyYours, SlotNotFound, SlotUnavailable
from app.idempotency.errors import IdempotencyKeyExpired
from app.kit.errors import DomainError


def reason(
    *,
    slot_exists: bool,
    consultation_under_key: UUID | None,
    consultation_of_patient: UUID | None,
    patient_is_busy: bool,
    patient_hoards: bool,
) -> DomainError:
    """The refusal of the contract's *Booking*, in its order. Never success: a refused key stays refused."""
    if consultation_under_key is not None:
        return IdempotencyKeyExpired(location=location(consultation_under_key))
    if not slot_exists:
        return SlotNotFound()
    if consultation_of_patient is not None:
        return SlotAlreadyYours(location=location(consultation_of_patient))
    if patient_is_busy:
        return PatientOverlap()
    if patient_hoards:
        return BookingLimitReached()
    return SlotUnavailable()


def location(consultation_id: UUID) -> str:
    """The address of a consultation."""
    return f"/consultations/{consultation_id}"
