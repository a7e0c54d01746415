"""What a prescription is, and why one is refused."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from app.idempotency.errors import IdempotencyKeyExpired
from app.kit.errors import DomainError, NotFound
from app.prescription.errors import ConsultationNotCompleted, PrescriptionExists


@dataclass(frozen=True, slots=True)
class Prescription:
    """What a doctor ordered after a consultation. `items` are the medications as they were sent, none if erased."""

    id: UUID
    consultation_id: UUID
    doctor_id: UUID
    patient_id: UUID
    items: list[dict[str, Any]]
    notes: str | None
    created_at: datetime


def reason(
    *, consultation_status: str | None, has_prescription: bool, prescription_under_key: UUID | None
) -> DomainError:
    """The refusal that applies first. `consultation_status` is `None` if it is not the doctor's."""
    if prescription_under_key is not None:
        return IdempotencyKeyExpired(location=location(prescription_under_key))
    if consultation_status is None:
        return NotFound()
    if has_prescription:
        return PrescriptionExists()
    return ConsultationNotCompleted()


def location(prescription_id: UUID) -> str:
    """The address of a prescription."""
    return f"/prescriptions/{prescription_id}"
