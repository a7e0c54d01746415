"""What a slot must look like."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

from app.kit.errors import FieldError

OPEN, BOOKED = "open", "booked"
Status = Literal["open", "booked"]
LENGTH_MIN = timedelta(minutes=5)
LENGTH_MAX = timedelta(hours=12)
# A quarter of a year, and the day on which it ends: what a patient plans, and one index range.
WINDOW_MAX = timedelta(days=92)
# The last moment of the calendar; a window that would reach beyond it ends there.
LAST = datetime.max.replace(tzinfo=UTC)


# Not frozen, like other rows that are made by the hundred: to set a field of a frozen one takes five times as long.
@dataclass(slots=True)
class Slot:
    """A piece of a doctor's time, from `starts_at` to just before `ends_at`."""

    id: int
    doctor_id: UUID
    starts_at: datetime
    ends_at: datetime
    status: Status


@dataclass(frozen=True, slots=True)
class Interval:
    """When a slot is wished to be; `field` is its place in the request."""

    field: str
    starts_at: datetime
    ends_at: datetime


def shape_errors(intervals: Sequence[Interval]) -> list[FieldError]:
    """What is wrong whatever the time is now."""
    errors = []
    for interval in intervals:
        length = interval.ends_at - interval.starts_at
        if length <= timedelta(0):
            errors.append(FieldError(f"{interval.field}.ends_at", "must be after starts_at"))
        elif not LENGTH_MIN <= length <= LENGTH_MAX:
            errors.append(FieldError(f"{interval.field}.ends_at", "must be 5 minutes to 12 hours after starts_at"))
    return errors


def past_errors(intervals: Sequence[Interval], *, now: datetime) -> list[FieldError]:
    """What is too late to be offered."""
    return [
        FieldError(f"{interval.field}.starts_at", "must be in the future")
        for interval in intervals
        if interval.starts_at <= now
    ]


def window(begin: datetime | None, end: datetime | None, *, now: datetime) -> tuple[datetime, datetime] | FieldError:
    """The half-open window of a search, or what is wrong with it."""
    begin = begin or now
    if end is None:
        end = begin + min(WINDOW_MAX, LAST - begin)
    if end < begin:
        return FieldError("query.to", "must not be before from")
    if end - begin > WINDOW_MAX:
        return FieldError("query.to", f"must be at most {WINDOW_MAX.days} days after from")
    return begin, end
