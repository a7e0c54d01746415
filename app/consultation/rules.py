"""The life of a consultation on one screen.

    scheduled ──► completed    the doctor held it
        │
        └───────► cancelled    by the patient before it begins, by the doctor or an admin at any time

completed and cancelled are final.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

SCHEDULED: Final = "scheduled"
COMPLETED: Final = "completed"
CANCELLED: Final = "cancelled"
Status = Literal["scheduled", "completed", "cancelled"]
STATUSES: Final = (SCHEDULED, COMPLETED, CANCELLED)

TRANSITIONS: dict[tuple[str, str], frozenset[str]] = {
    (SCHEDULED, COMPLETED): frozenset({"doctor"}),
    (SCHEDULED, CANCELLED): frozenset({"patient", "doctor", "admin"}),
}
# A patient may not cancel once the consultation has begun; the doctor and an admin may.
CANCELS_ONLY_BEFORE_START = frozenset({"patient"})


@dataclass(slots=True)
class Consultation:
    """A doctor and a patient, at a time. Times are aware, in UTC, half-open `[starts_at, ends_at)`."""

    id: UUID
    slot_id: int
    doctor_id: UUID
    patient_id: UUID
    status: Status
    starts_at: datetime
    ends_at: datetime
    created_at: datetime
    completed_at: datetime | None
    cancelled_at: datetime | None
    cancel_reason: str | None


def may_change(role: str, *, before: str, after: str) -> bool:
    """Whether somebody of this role, who has to do with the consultation, may make this transition."""
    return role in TRANSITIONS.get((before, after), frozenset())
