"""What is sent and answered about break-glass."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from app.http.fields import Answer, Body, FlagText, FreeText
from app.http.paging import PageQuery

REASON_LENGTH_MAX = 1000
NOTE_LENGTH_MAX = 1000


class Emergency(Body):
    """Why the record must be opened; the patient and the clinic's admins read it."""

    reason: Annotated[
        FreeText,
        # A letter or a digit at least: a space of no width is none. Whether it is a reason, says who reviews it.
        Field(
            min_length=1, max_length=REASON_LENGTH_MAX, pattern=r"\w", examples=["Unconscious in the emergency room"]
        ),
    ]


class Review(Body):
    """What the admin found, if there is anything to say."""

    note: Annotated[FreeText | None, Field(max_length=NOTE_LENGTH_MAX, examples=["The ward confirms it."])] = None


class GrantQuery(PageQuery):
    """Which grants."""

    reviewed: Annotated[FlagText | None, Field(description="`false`: what waits for a review.")] = None


class Grant(Answer):
    """The doctor may read this patient's record until `expires_at`."""

    id: UUID
    patient_id: UUID
    reason: Annotated[str | None, Field(description="`null` once the patient's text was erased.")]
    granted_at: datetime
    expires_at: datetime


class GrantForReview(Grant):
    """A grant as an admin sees it."""

    doctor_id: UUID
    reviewed_at: datetime | None
    reviewed_by: UUID | None
    review_note: str | None
