"""What is sent and answered about consultations."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from app.http.fields import Answer, Body, FreeText, Instant, RecordId
from app.http.paging import PageQuery

Status = Literal["scheduled", "completed", "cancelled"]
REASON_LENGTH_MAX = 1000


class StatusChange(Body):
    """The wished status; a reason is kept with a cancellation."""

    status: Annotated[Status, Field(examples=["completed"])]
    reason: Annotated[FreeText | None, Field(max_length=REASON_LENGTH_MAX)] = None


class OwnConsultationQuery(PageQuery):
    """Which of your own consultations."""

    status: Status | None = None
    from_: Annotated[Instant | None, Field(alias="from", description="Starting at or after.")] = None
    to: Annotated[Instant | None, Field(description="Starting before.")] = None


class ConsultationQuery(OwnConsultationQuery):
    """Which of the clinic's consultations."""

    doctor_id: RecordId | None = None
    patient_id: RecordId | None = None


class Consultation(Answer):
    """A doctor and a patient, at a time."""

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
