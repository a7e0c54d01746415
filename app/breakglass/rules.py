"""What a break-glass grant is."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Grant:
    """A doctor may read a patient's record until `expires_at`; an admin has reviewed it, or will.

    The reason is `None` once it was erased with the patient's text.
    """

    id: UUID
    doctor_id: UUID
    patient_id: UUID
    reason: str | None
    granted_at: datetime
    expires_at: datetime
    reviewed_at: datetime | None
    reviewed_by: UUID | None
    review_note: str | None
