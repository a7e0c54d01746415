"""`POST /availability/`: a doctor offers a slot of their own time."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from httpx2 import Response

from tests.cast import Clinic, Person, fresh_key, iso, some_time
from tests.patience import assert_refused_within_a_second, at_once

MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)


def offer(person: Person, starts_at: datetime | str, ends_at: datetime | str | timedelta, **request: Any) -> Response:
    if isinstance(ends_at, timedelta):
        assert isinstance(starts_at, datetime)
        ends_at = starts_at + ends_at
    times = [iso(time) if isinstance(time, datetime) else time for time in (starts_at, ends_at)]
    return person.posts("/availability/", {"starts_at": times[0], "ends_at": times[1]}, **request)


def slots_of(person: Person) -> list[dict[str, Any]]:
    items = person.gets(f"/availability/?doctor_id={person.id}", expect=200).json()["items"]
    return list(items)


def test_doctor_offers_a_slot(clinic: Clinic) -> None:
    starts_at = some_time()
    response = offer(clinic.dora, starts_at, 30 * MINUTE, expect=201)
    slot = response.json()
    assert isinstance(slot.pop("id"), int)
    assert slot == {
        "doctor_id": clinic.dora.id,
        "starts_at": iso(starts_at),
        "ends_at": iso(starts_at + 30 * MINUTE),
        "status": "open",
    }
    assert "idempotency-replayed" not in response.headers


def test_times_with_an_offset_are_answered_in_utc(clinic: Clinic) -> None:
    slot = offer(clinic.dora, "2031-01-31T09:00:00+05:30", "2031-01-31t04:00:00.000z", expect=201).json()
    assert (slot["starts_at"], slot["ends_at"]) == ("2031-01-31T03:30:00Z", "2031-01-31T04:00:00Z")


@pytest.mark.parametrize(
    ("begins", "ends"), [(0, 30), (10, 20), (-10, 5), (25, 40), (-10, 40), (0, 10), (20, 30), (-5, 30), (0, 35)]
)
def test_overlapping_slot_is_409_slot_overlap(clinic: Clinic, begins: int, ends: int) -> None:
    starts_at = some_time()
    clinic.dora.offers(starts_at)
    refused = offer(clinic.dora, starts_at + begins * MINUTE, starts_at + ends * MINUTE, expect=409)
    assert refused.json()["code"] == "slot_overlap"
    assert len(slots_of(clinic.dora)) == 1


def test_slots_that_touch_do_not_overlap(clinic: Clinic) -> None:
    starts_at = some_time()
    clinic.dora.offers(starts_at)
    offer(clinic.dora, starts_at + 30 * MINUTE, 10 * MINUTE, expect=201)
    offer(clinic.dora, starts_at - 10 * MINUTE, 10 * MINUTE, expect=201)
    microsecond = timedelta(microseconds=1)
    offer(clinic.dora, starts_at + 40 * MINUTE - microsecond, 10 * MINUTE, expect=409)


def test_booked_slot_overlaps_too(clinic: Clinic) -> None:
    starts_at = some_time()
    clinic.paul.has_booked(clinic.dora.offers(starts_at))
    assert offer(clinic.dora, starts_at, 30 * MINUTE, expect=409).json()["code"] == "slot_overlap"


def test_two_doctors_may_work_at_one_time(clinic: Clinic) -> None:
    starts_at = some_time()
    clinic.dora.offers(starts_at)
    clinic.dev.offers(starts_at)


def test_of_twenty_at_once_one_wins(clinic: Clinic) -> None:
    dora, starts_at = clinic.dora, some_time()
    answers = at_once(
        [lambda minute=minute: offer(dora, starts_at + minute * MINUTE, 30 * MINUTE) for minute in range(20)]
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19
    assert {answer.json().get("code") for answer in answers} == {None, "slot_overlap"}


@pytest.mark.parametrize(
    ("length", "status"),
    [
        (timedelta(0), 422),
        (-MINUTE, 422),
        (5 * MINUTE - SECOND, 422),
        (5 * MINUTE, 201),
        (12 * 60 * MINUTE, 201),
        (12 * 60 * MINUTE + SECOND, 422),
        (timedelta(days=400), 422),
    ],
)
def test_slot_lasts_5_minutes_to_12_hours(clinic: Clinic, length: timedelta, status: int) -> None:
    response = offer(clinic.dora, some_time(), length, expect=status)
    if status == 422:
        assert [error["field"] for error in response.json()["errors"]] == ["body.ends_at"]


@pytest.mark.parametrize("ago", [timedelta(0), SECOND, timedelta(days=1), timedelta(days=365 * 50)])
def test_slot_in_the_past_is_422(clinic: Clinic, ago: timedelta) -> None:
    refused = offer(clinic.dora, datetime.now(UTC) - ago, 30 * MINUTE, expect=422)
    assert [error["field"] for error in refused.json()["errors"]] == ["body.starts_at"]
    offer(clinic.dora, datetime.now(UTC) + 10 * SECOND, 30 * MINUTE, expect=201)


@pytest.mark.parametrize(
    "starts_at",
    [
        "2031-01-31T09:00:00",
        "2031-01-31",
        "2031-01-31 09:00:00Z",
        "2031-02-30T09:00:00Z",
        "2031-01-31T24:00:00Z",
        "2031-01-31T09:00:60Z",
        "2031-01-31T09:00Z",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59-01:00",
        "٢٠٣١-01-31T09:00:00Z",
        "2031-01-31T09:00:00Z\0",
        "tomorrow",
        "",
        None,
        1927616400,
        True,
        ["2031-01-31T09:00:00Z"],
    ],
)
def test_what_is_no_time_with_an_offset_is_422(clinic: Clinic, starts_at: object) -> None:
    body = {"starts_at": starts_at, "ends_at": "2031-01-31T09:30:00Z"}
    refused = clinic.dora.posts("/availability/", body, expect=422)
    assert [error["field"] for error in refused.json()["errors"]] == ["body.starts_at"]


def test_last_day_of_the_calendar_is_a_day(clinic: Clinic) -> None:
    offer(clinic.dora, "9999-12-31T23:00:00Z", "9999-12-31T23:59:59.999999Z", expect=201)


@pytest.mark.parametrize("field", ["doctor_id", "status", "id", "slots"])
def test_unknown_field_is_422(clinic: Clinic, field: str) -> None:
    body = {"starts_at": iso(some_time()), "ends_at": iso(some_time()), field: clinic.dev.id}
    refused = clinic.dora.posts("/availability/", body, expect=422)
    assert [error["field"] for error in refused.json()["errors"]] == [f"body.{field}"]


@pytest.mark.parametrize("name", ["amara", "paul"])
def test_only_doctors_offer_slots(clinic: Clinic, name: str) -> None:
    person = getattr(clinic, name)
    refused = offer(person, some_time(), 30 * MINUTE, expect=403)
    assert refused.json()["code"] == "forbidden"
    [row] = clinic.amara.audit_rows(action="request.denied")
    assert (row["actor_id"], row["outcome"]) == (person.id, "denied")
    assert row["details"] == {"method": "POST", "route": "/availability/"}


def test_without_a_token_it_is_401(clinic: Clinic) -> None:
    offer(clinic.nobody, some_time(), 30 * MINUTE, expect=401)


def test_doctor_who_was_deactivated_offers_nothing(clinic: Clinic) -> None:
    clinic.amara.patches(f"/users/{clinic.dora.id}", {"is_active": False}, expect=200)
    assert offer(clinic.dora, some_time(), 30 * MINUTE, expect=401).json()["code"] == "unauthenticated"
    assert offer(clinic.dora, some_time(), 30 * MINUTE, key=fresh_key(), expect=401).json()["code"] == "unauthenticated"
    assert_refused_within_a_second(clinic.dora)


def test_offer_leaves_an_audit_row(clinic: Clinic) -> None:
    response = offer(clinic.dora, some_time(), 30 * MINUTE, expect=201)
    [row] = clinic.amara.audit_rows(entity_type="slot")
    assert (row["action"], row["entity_id"], row["outcome"]) == ("slot.created", str(response.json()["id"]), "success")
    assert (row["actor_id"], row["actor_role"]) == (clinic.dora.id, "doctor")
    assert row["request_id"] == response.headers["x-request-id"]


def test_refused_offer_leaves_no_row_of_a_change(clinic: Clinic) -> None:
    starts_at = some_time()
    clinic.dora.offers(starts_at)
    offer(clinic.dora, starts_at, 30 * MINUTE, expect=409)
    assert len(clinic.amara.audit_rows(entity_type="slot")) == 1


def test_retry_with_the_same_key_gets_the_first_answer(clinic: Clinic) -> None:
    starts_at, key = some_time(), fresh_key()
    first = offer(clinic.dora, starts_at, 30 * MINUTE, key=key, expect=201)
    again = offer(clinic.dora, starts_at, 30 * MINUTE, key=key, expect=201)
    assert again.content == first.content
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert len(slots_of(clinic.dora)) == len(clinic.amara.audit_rows(entity_type="slot")) == 1


@pytest.mark.parametrize("fate", ["booked", "withdrawn"])
def test_replay_does_not_see_what_happened_to_the_slot(clinic: Clinic, fate: str) -> None:
    starts_at, key = some_time(), fresh_key()
    first = offer(clinic.dora, starts_at, 30 * MINUTE, key=key, expect=201)
    if fate == "booked":
        clinic.paul.has_booked(first.json())
    else:
        clinic.dora.deletes(f"/availability/{first.json()['id']}", expect=204)
    assert offer(clinic.dora, starts_at, 30 * MINUTE, key=key, expect=201).content == first.content


def test_replay_after_the_slot_has_begun(clinic: Clinic, owner: psycopg.Connection) -> None:
    starts_at, key = datetime.now(UTC) + timedelta(milliseconds=400), fresh_key()
    first = offer(clinic.dora, starts_at, 30 * MINUTE, key=key, expect=201)
    wait_until(owner, starts_at)
    assert offer(clinic.dora, starts_at, 30 * MINUTE, key=key, expect=201).content == first.content
    offer(clinic.dora, starts_at, 30 * MINUTE, key=fresh_key(), expect=422)
    offer(clinic.dora, starts_at, 31 * MINUTE, key=key, expect=422)


def wait_until(owner: psycopg.Connection, moment: datetime) -> None:
    """Come back when the database's clock shows `moment`."""
    while True:
        row = owner.execute("SELECT clock_timestamp() > %s", [moment]).fetchone()
        if row and row[0] and datetime.now(UTC) > moment:
            return


def test_same_time_in_another_zone_is_the_same_request(clinic: Clinic) -> None:
    key = fresh_key()
    first = offer(clinic.dora, "2031-03-01T09:00:00Z", "2031-03-01T09:30:00Z", key=key, expect=201)
    again = offer(clinic.dora, "2031-03-01T10:00:00+01:00", "2031-03-01t09:30:00.0z", key=key, expect=201)
    assert again.content == first.content


def test_same_key_with_another_time_is_422_idempotency_key_reused(clinic: Clinic) -> None:
    starts_at, key = some_time(), fresh_key()
    offer(clinic.dora, starts_at, 30 * MINUTE, key=key, expect=201)
    refused = offer(clinic.dora, starts_at + 60 * MINUTE, 30 * MINUTE, key=key, expect=422)
    assert refused.json()["code"] == "idempotency_key_reused"
    assert "errors" not in refused.json()
    assert len(slots_of(clinic.dora)) == 1


def test_refused_overlap_sticks_to_its_key(clinic: Clinic) -> None:
    starts_at, key = some_time(), fresh_key()
    slot = clinic.dora.offers(starts_at)
    refused = offer(clinic.dora, starts_at, 30 * MINUTE, key=key, expect=409)
    clinic.dora.deletes(f"/availability/{slot['id']}", expect=204)
    again = offer(clinic.dora, starts_at, 30 * MINUTE, key=key, expect=409)
    assert again.headers["idempotency-replayed"] == "true"
    assert {**again.json(), "request_id": ""} == {**refused.json(), "request_id": ""}
    offer(clinic.dora, starts_at, 30 * MINUTE, key=fresh_key(), expect=201)


def test_refusal_of_validation_does_not_use_the_key(clinic: Clinic) -> None:
    starts_at, key = some_time(), fresh_key()
    offer(clinic.dora, starts_at, MINUTE, key=key, expect=422)
    offer(clinic.dora, datetime.now(UTC) - MINUTE, 30 * MINUTE, key=key, expect=422)
    offer(clinic.dora, starts_at, 30 * MINUTE, key=key, expect=201)


def test_key_is_the_doctors_own(clinic: Clinic) -> None:
    starts_at, key = some_time(), fresh_key()
    first = offer(clinic.dora, starts_at, 30 * MINUTE, key=key, expect=201)
    second = offer(clinic.dev, starts_at, 30 * MINUTE, key=key, expect=201)
    assert first.json()["id"] != second.json()["id"]
    assert "idempotency-replayed" not in second.headers


@pytest.mark.parametrize("key", ["", "short", "with space here", "x" * 256, "tab\there-it-is"])
def test_malformed_key_is_400_idempotency_key_invalid(clinic: Clinic, key: str) -> None:
    refused = offer(clinic.dora, some_time(), 30 * MINUTE, key=key, expect=400)
    assert refused.json()["code"] == "idempotency_key_invalid"
    assert slots_of(clinic.dora) == []


def test_twenty_retries_at_once_make_one_slot(clinic: Clinic) -> None:
    dora, starts_at, key = clinic.dora, some_time(), fresh_key()
    answers = at_once([lambda: offer(dora, starts_at, 30 * MINUTE, key=key)] * 20)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert len([answer for answer in answers if "idempotency-replayed" not in answer.headers]) == 1


def test_key_whose_answer_is_no_longer_kept_executes_nothing(clinic: Clinic, owner: psycopg.Connection) -> None:
    starts_at, key = some_time(), fresh_key()
    slot = offer(clinic.dora, starts_at, 30 * MINUTE, key=key, expect=201).json()
    owner.execute("UPDATE idempotency_keys SET created_at = created_at - interval '7 days 1 s' WHERE key = %s", [key])
    clinic.dora.deletes(f"/availability/{slot['id']}", expect=204)
    refused = offer(clinic.dora, starts_at, 30 * MINUTE, key=key, expect=409)
    assert refused.json()["code"] == "idempotency_key_expired"
    assert slots_of(clinic.dora) == []
