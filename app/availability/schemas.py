"""What is sent and answered about slots."""

from typing import Annotated

from pydantic import Field

from app.availability.rules import Slot, Status
from app.http.fields import Answer, Body, Instant, RecordId
from app.http.paging import PageQuery

# As many as fit a doctor's quarter in half-hours, and a statement that stays under a second.
BULK_MAX = 1000


class NewSlot(Body):
    """When the doctor has time."""

    starts_at: Annotated[Instant, Field(examples=["2030-01-31T09:00:00Z"])]
    ends_at: Annotated[Instant, Field(examples=["2030-01-31T09:30:00Z"])]


class NewSlots(Body):
    """Several slots, all or none."""

    slots: Annotated[list[NewSlot], Field(min_length=1, max_length=BULK_MAX)]


class SlotQuery(PageQuery):
    """Which slots."""

    doctor_id: RecordId | None = None
    from_: Annotated[Instant | None, Field(alias="from", description="Starting at or after; default: now.")] = None
    to: Annotated[
        Instant | None, Field(description="Starting before; at most and by default 92 days after `from`.")
    ] = None
    status: Status = "open"


class Slots(Answer):
    """The slots that were made."""

    items: list[Slot]
