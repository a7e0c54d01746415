"""What is sent and answered about prescriptions."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from app.http.fields import Answer, Body, FreeText, Line, RecordId

ITEMS_MAX = 50
INSTRUCTIONS_LENGTH_MAX = 1000
NOTES_LENGTH_MAX = 10_000
# Ten years: nothing is prescribed for longer, and the sum of two still is a date.
DURATION_DAYS_MAX = 3650


class NewItem(Body):
    """One medication and how to take it."""

    medication: Annotated[Line, Field(examples=["Amoxicillin 500 mg capsules"])]
    dosage: Annotated[Line, Field(examples=["1 capsule"])]
    frequency: Annotated[Line, Field(examples=["3 times a day"])]
    duration_days: Annotated[int, Field(ge=1, le=DURATION_DAYS_MAX, examples=[7])]
    instructions: Annotated[FreeText | None, Field(max_length=INSTRUCTIONS_LENGTH_MAX)] = None


class NewPrescription(Body):
    """What the doctor orders after a completed consultation."""

    consultation_id: Annotated[RecordId, Field(examples=["0198c0de-7a3f-7c11-9d2e-5b1f0a6c4e21"])]
    items: Annotated[list[NewItem], Field(min_length=1, max_length=ITEMS_MAX)]
    notes: Annotated[FreeText | None, Field(max_length=NOTES_LENGTH_MAX)] = None


class Item(Answer):
    """One medication and how to take it."""

    medication: str
    dosage: str
    frequency: str
    duration_days: int
    instructions: str | None


class Prescription(Answer):
    """What a doctor ordered after a consultation."""

    id: UUID
    consultation_id: UUID
    doctor_id: UUID
    patient_id: UUID
    items: Annotated[list[Item], Field(description="Empty once the patient's text was erased.")]
    notes: str | None
    created_at: datetime
