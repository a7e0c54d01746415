"""What is sent and answered about consultations."""

from typing import Annotated

from pydantic import Field

from app.consultation.rules import Status
from app.http.fields import Body, FreeText, Instant, RecordId
from app.http.paging import PageQuery

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
