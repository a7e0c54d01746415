"""The rules of availability: what a slot looks like, and the window of a search."""

from datetime import UTC, datetime, timedelta

import pytest

from app.availability.rules import BOOKED, LAST, OPEN, Interval, past_errors, shape_errors, window
from app.kit.errors import FieldError

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
MOMENT, MINUTE, DAY = timedelta(microseconds=1), timedelta(minutes=1), timedelta(days=1)


def interval(length: timedelta, *, starts_at: datetime = NOW, field: str = "body") -> Interval:
    return Interval(field, starts_at, starts_at + length)


@pytest.mark.parametrize("length", [5 * MINUTE, 5 * MINUTE + MOMENT, timedelta(hours=1), timedelta(hours=12)])
def test_slot_of_5_minutes_to_12_hours_is_good(length: timedelta) -> None:
    assert shape_errors([interval(length)]) == []


@pytest.mark.parametrize(
    ("length", "message"),
    [
        (-DAY, "must be after starts_at"),
        (-MOMENT, "must be after starts_at"),
        (timedelta(0), "must be after starts_at"),
        (MOMENT, "must be 5 minutes to 12 hours after starts_at"),
        (5 * MINUTE - MOMENT, "must be 5 minutes to 12 hours after starts_at"),
        (timedelta(hours=12) + MOMENT, "must be 5 minutes to 12 hours after starts_at"),
    ],
)
def test_any_other_length_is_an_error_of_its_end(length: timedelta, message: str) -> None:
    assert shape_errors([interval(length)]) == [FieldError("body.ends_at", message)]


def test_every_bad_slot_is_named_by_its_place() -> None:
    fields = [f"body.slots.{number}" for number in range(4)]
    lengths = [timedelta(0), 5 * MINUTE, DAY, timedelta(hours=1)]
    errors = shape_errors([interval(length, field=field) for length, field in zip(lengths, fields, strict=True)])
    assert [error.field for error in errors] == ["body.slots.0.ends_at", "body.slots.2.ends_at"]


@pytest.mark.parametrize(("begins_in", "is_past"), [(MOMENT, False), (timedelta(0), True), (-MOMENT, True)])
def test_slot_begins_after_now(begins_in: timedelta, *, is_past: bool) -> None:
    errors = past_errors([interval(DAY, starts_at=NOW + begins_in)], now=NOW)
    assert errors == ([FieldError("body.starts_at", "must be in the future")] if is_past else [])


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        (None, None, (NOW, NOW + 92 * DAY)),
        (NOW - DAY, None, (NOW - DAY, NOW + 91 * DAY)),
        (None, NOW + DAY, (NOW, NOW + DAY)),
        (None, NOW, (NOW, NOW)),
        (NOW, NOW + 92 * DAY, (NOW, NOW + 92 * DAY)),
        (NOW - 400 * DAY, NOW - 399 * DAY, (NOW - 400 * DAY, NOW - 399 * DAY)),
    ],
)
def test_window_begins_now_and_lasts_92_days_unless_told(
    begin: datetime | None, end: datetime | None, expected: tuple[datetime, datetime]
) -> None:
    assert window(begin, end, now=NOW) == expected


@pytest.mark.parametrize(
    ("begin", "end", "message"),
    [
        (NOW, NOW - MOMENT, "must not be before from"),
        (None, NOW - MOMENT, "must not be before from"),
        (NOW, NOW + 92 * DAY + MOMENT, "must be at most 92 days after from"),
        (None, NOW + 93 * DAY, "must be at most 92 days after from"),
    ],
)
def test_window_that_is_negative_or_too_long_is_an_error_of_to(
    begin: datetime | None, end: datetime, message: str
) -> None:
    assert window(begin, end, now=NOW) == FieldError("query.to", message)


def test_slot_is_open_or_booked_in_the_words_of_the_contract() -> None:
    assert (OPEN, BOOKED) == ("open", "booked")


@pytest.mark.parametrize(
    ("before_the_last", "length"),
    [(0, 0), (1, 1), (91, 91), (92, 92), (93, 92)],
)
def test_window_ends_with_the_calendar(before_the_last: int, length: int) -> None:
    begin = LAST - before_the_last * DAY
    assert window(begin, None, now=NOW) == (begin, begin + length * DAY)
