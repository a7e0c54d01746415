"""`POST /availability/bulk`: up to 1,000 slots, all or none."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from httpx2 import Response

from tests.cast import Clinic, Person, fresh_key, iso, some_time, tomorrow
from tests.patience import at_once

MINUTE = timedelta(minutes=1)
KIB = 1024
JSON = {"Content-Type": "application/json"}


def interval(starts_at: datetime, minutes: int = 30) -> dict[str, str]:
    return {"starts_at": iso(starts_at), "ends_at": iso(starts_at + minutes * MINUTE)}


def row_of(count: int, *, first: datetime | None = None, minutes: int = 30) -> list[dict[str, str]]:
    """Slots that touch each other."""
    first = first or tomorrow()
    return [interval(first + number * minutes * MINUTE, minutes) for number in range(count)]


def offer(person: Person, slots: list[dict[str, str]], **request: Any) -> Response:
    return person.posts("/availability/bulk", {"slots": slots}, **request)


def count_of(person: Person) -> int:
    items = person.gets(f"/availability/?doctor_id={person.id}&limit=100", expect=200).json()["items"]
    return len(items)


def body_of(size_bytes: int) -> bytes:
    """One good slot in a body of exactly that size."""
    body = json.dumps({"slots": [interval(some_time())]}).encode()
    return body + b" " * (size_bytes - len(body))


def test_doctor_offers_slots_and_gets_them_in_the_order_given(clinic: Clinic) -> None:
    wished = list(reversed(row_of(3)))
    items = offer(clinic.dora, wished, expect=201).json()["items"]
    assert [{"starts_at": item["starts_at"], "ends_at": item["ends_at"]} for item in items] == wished
    assert {(item["doctor_id"], item["status"]) for item in items} == {(clinic.dora.id, "open")}
    assert len({item["id"] for item in items}) == 3


def test_each_slot_can_be_booked(clinic: Clinic) -> None:
    for slot in offer(clinic.dora, row_of(2), expect=201).json()["items"]:
        clinic.paul.has_booked(slot)


def test_thousand_slots_are_offered_in_their_order(clinic: Clinic) -> None:
    wished = row_of(1000, minutes=5)
    items = offer(clinic.dora, wished, expect=201).json()["items"]
    assert [item["starts_at"] for item in items] == [slot["starts_at"] for slot in wished]
    assert [item["id"] for item in items] == sorted(item["id"] for item in items)


@pytest.mark.parametrize("count", [0, 1001])
def test_fewer_than_1_or_more_than_1000_slots_are_422(clinic: Clinic, count: int) -> None:
    refused = offer(clinic.dora, row_of(count, minutes=5), expect=422)
    assert [error["field"] for error in refused.json()["errors"]] == ["body.slots"]
    assert count_of(clinic.dora) == 0


def test_one_overlap_with_an_older_slot_refuses_all(clinic: Clinic) -> None:
    wished = row_of(5)
    clinic.dora.offers(datetime.fromisoformat(wished[4]["starts_at"]) + 15 * MINUTE)
    assert offer(clinic.dora, wished, expect=409).json()["code"] == "slot_overlap"
    assert count_of(clinic.dora) == 1
    assert len(clinic.amara.audit_rows(entity_type="slot")) == 1


def test_overlap_inside_one_body_refuses_all(clinic: Clinic) -> None:
    starts_at = some_time()
    for second in (starts_at, starts_at + 15 * MINUTE):
        assert offer(clinic.dora, [interval(starts_at), interval(second)], expect=409).json()["code"] == "slot_overlap"
    assert count_of(clinic.dora) == 0
    offer(clinic.dora, [interval(starts_at), interval(starts_at + 30 * MINUTE)], expect=201)


def test_every_bad_slot_is_named(clinic: Clinic) -> None:
    now, later = datetime.now(UTC), some_time()
    wished = [
        interval(later),
        interval(later + 60 * MINUTE, 4),
        interval(later, -5),
        interval(later + 90 * MINUTE, 721),
    ]
    refused = offer(clinic.dora, wished, expect=422)
    fields = [f"body.slots.{number}.ends_at" for number in (1, 2, 3)]
    assert [error["field"] for error in refused.json()["errors"]] == fields
    refused = offer(clinic.dora, [interval(later), interval(now - MINUTE)], expect=422)
    assert [error["field"] for error in refused.json()["errors"]] == ["body.slots.1.starts_at"]
    assert count_of(clinic.dora) == 0


@pytest.mark.parametrize("slots", [None, {}, "x", [None], [[]], [1], [{"starts_at": "2031-01-31T09:00:00Z"}]])
def test_malformed_list_is_422(clinic: Clinic, slots: object) -> None:
    refused = clinic.dora.posts("/availability/bulk", {"slots": slots}, expect=422)
    assert all(error["field"].startswith("body.slots") for error in refused.json()["errors"])


@pytest.mark.parametrize("field", ["doctor_id", "status"])
def test_unknown_field_of_a_slot_is_422(clinic: Clinic, field: str) -> None:
    refused = offer(clinic.dora, [{**interval(some_time()), field: "x"}], expect=422)
    assert [error["field"] for error in refused.json()["errors"]] == [f"body.slots.0.{field}"]


def test_body_may_have_256_kib_here(clinic: Clinic) -> None:
    clinic.dora.posts("/availability/bulk", content=body_of(256 * KIB), headers=JSON, expect=201)
    refused = clinic.dora.posts("/availability/bulk", content=body_of(256 * KIB + 1), headers=JSON, expect=413)
    assert refused.json()["code"] == "body_too_large"


def test_body_of_one_slot_may_have_64_kib(clinic: Clinic) -> None:
    body = json.dumps(interval(some_time())).encode()
    clinic.dora.posts("/availability/", content=body.ljust(64 * KIB), headers=JSON, expect=201)
    refused = clinic.dora.posts("/availability/", content=body.ljust(64 * KIB + 1), headers=JSON, expect=413)
    assert refused.json()["code"] == "body_too_large"


def test_size_is_checked_before_the_token(clinic: Clinic) -> None:
    clinic.nobody.posts("/availability/bulk", content=body_of(256 * KIB + 1), headers=JSON, expect=413)
    clinic.nobody.posts("/availability/bulk", content=body_of(256 * KIB), headers=JSON, expect=401)


def test_size_is_counted_where_none_is_declared(clinic: Clinic) -> None:
    chunks = (b" " * KIB for _ in range(257))
    clinic.dora.posts("/availability/bulk", content=chunks, headers=JSON, expect=413)


@pytest.mark.parametrize("name", ["amara", "paul"])
def test_only_doctors_offer_slots(clinic: Clinic, name: str) -> None:
    assert offer(getattr(clinic, name), row_of(1), expect=403).json()["code"] == "forbidden"
    [row] = clinic.amara.audit_rows(action="request.denied")
    assert row["details"] == {"method": "POST", "route": "/availability/bulk"}


def test_each_slot_leaves_an_audit_row(clinic: Clinic) -> None:
    response = offer(clinic.dora, row_of(3), expect=201)
    rows = clinic.amara.audit_rows(action="slot.created")
    assert {row["entity_id"] for row in rows} == {str(item["id"]) for item in response.json()["items"]}
    assert {row["request_id"] for row in rows} == {response.headers["x-request-id"]}
    assert {(row["actor_id"], row["actor_role"]) for row in rows} == {(clinic.dora.id, "doctor")}


def test_retry_with_the_same_key_gets_the_first_answer(clinic: Clinic) -> None:
    wished, key = list(reversed(row_of(20))), fresh_key()
    first = offer(clinic.dora, wished, key=key, expect=201)
    again = offer(clinic.dora, wished, key=key, expect=201)
    assert again.content == first.content
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert count_of(clinic.dora) == 20


def test_replay_does_not_see_what_happened_to_the_slots(clinic: Clinic) -> None:
    wished, key = row_of(3), fresh_key()
    first = offer(clinic.dora, wished, key=key, expect=201)
    slots = first.json()["items"]
    clinic.paul.has_booked(slots[0])
    clinic.dora.deletes(f"/availability/{slots[1]['id']}", expect=204)
    assert offer(clinic.dora, wished, key=key, expect=201).content == first.content


def test_replay_after_the_first_slot_has_begun(clinic: Clinic, owner: psycopg.Connection) -> None:
    starts_at, key = datetime.now(UTC) + timedelta(milliseconds=400), fresh_key()
    wished = row_of(2, first=starts_at)
    first = offer(clinic.dora, wished, key=key, expect=201)
    while datetime.now(UTC) <= starts_at:
        owner.execute("SELECT 1")
    assert offer(clinic.dora, wished, key=key, expect=201).content == first.content
    assert offer(clinic.dora, wished, key=fresh_key(), expect=422).json()["code"] == "validation_error"
    reused = offer(clinic.dora, wished[:1], key=key, expect=422)
    assert reused.json()["code"] == "idempotency_key_reused"


def test_same_key_with_other_slots_is_422_idempotency_key_reused(clinic: Clinic) -> None:
    wished, key = row_of(2), fresh_key()
    offer(clinic.dora, wished, key=key, expect=201)
    for other in (wished[:1], list(reversed(wished)), row_of(2, first=some_time())):
        assert offer(clinic.dora, other, key=key, expect=422).json()["code"] == "idempotency_key_reused"
    assert count_of(clinic.dora) == 2


def test_refused_overlap_sticks_to_its_key(clinic: Clinic) -> None:
    wished, key = row_of(2), fresh_key()
    slot = clinic.dora.posts("/availability/", wished[1], expect=201).json()
    refused = offer(clinic.dora, wished, key=key, expect=409)
    clinic.dora.deletes(f"/availability/{slot['id']}", expect=204)
    again = offer(clinic.dora, wished, key=key, expect=409)
    assert again.headers["idempotency-replayed"] == "true"
    assert {**again.json(), "request_id": ""} == {**refused.json(), "request_id": ""}
    offer(clinic.dora, wished, key=fresh_key(), expect=201)


def test_key_of_one_slot_is_another_key_than_that_of_many(clinic: Clinic) -> None:
    wished, key = row_of(2), fresh_key()
    clinic.dora.posts("/availability/", wished[0], key=key, expect=201)
    response = offer(clinic.dora, wished[1:], key=key, expect=201)
    assert "idempotency-replayed" not in response.headers


def test_of_ten_overlapping_bodies_at_once_one_wins_whole(clinic: Clinic) -> None:
    dora, wished = clinic.dora, row_of(20)
    bodies = [wished if number % 2 else list(reversed(wished)) for number in range(10)]
    answers = at_once([lambda body=body: offer(dora, body) for body in bodies])
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9
    assert count_of(dora) == 20


def test_ten_retries_at_once_make_the_slots_once(clinic: Clinic) -> None:
    dora, wished, key = clinic.dora, row_of(50), fresh_key()
    answers = at_once([lambda: offer(dora, wished, key=key)] * 10)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert count_of(dora) == 50
