"""`GET /availability/`: slots by start, open ones of active doctors unless something else is asked for."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from app.observability import logs
from tests.cast import Clinic, Person, iso, some_time, tomorrow
from tests.written import Written

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def written() -> Iterator[Written]:
    """What the application logs during a test."""
    logs.configure("info")
    yield Written()
    logs.configure("warning")


def find(person: Person, **query: Any) -> list[int]:
    """The ids of the slots on the first page."""
    query = {name.rstrip("_"): iso(value) if isinstance(value, datetime) else value for name, value in query.items()}
    items = person.gets("/availability/", params=query, expect=200).json()["items"]
    return [item["id"] for item in items]


def turn_back(owner: psycopg.Connection, slot: dict[str, Any], by: timedelta) -> None:
    owner.execute(
        "UPDATE availability_slots SET starts_at = starts_at - %s, ends_at = ends_at - %s WHERE id = %s",
        [by, by, slot["id"]],
    )


@pytest.mark.parametrize("name", ["amara", "dora", "dev", "paul"])
def test_everybody_finds_open_slots(clinic: Clinic, name: str) -> None:
    slot = clinic.dora.offers()
    answer = getattr(clinic, name).gets("/availability/", expect=200).json()
    assert answer == {"items": [slot], "next_cursor": None}


@pytest.mark.parametrize("microseconds", [0, 1, 500_000, 123_450, 999_999])
def test_slots_are_spelt_alike_wherever_they_are_answered(clinic: Clinic, microseconds: int) -> None:
    start = tomorrow().replace(microsecond=microseconds)
    slots = [clinic.dora.offers(start + hours * HOUR) for hours in range(2)]
    first = clinic.paul.gets("/availability/", params={"limit": 1}, expect=200).json()
    following = {"limit": 1, "cursor": first["next_cursor"]}
    second = clinic.paul.gets("/availability/", params=following, expect=200).json()
    assert (first["items"] + second["items"], second["next_cursor"]) == (slots, None)


def test_slots_come_by_start(clinic: Clinic) -> None:
    starts = [tomorrow() + hours * HOUR for hours in (3, 1, 2)]
    third, first, second = (clinic.dora.offers(start)["id"] for start in starts)
    same = clinic.dev.offers(starts[1])["id"]
    assert find(clinic.paul) == [first, same, second, third]


def test_slots_are_filtered_by_doctor(clinic: Clinic) -> None:
    ours, theirs = clinic.dora.offers()["id"], clinic.dev.offers()["id"]
    assert find(clinic.paul, doctor_id=clinic.dora.id) == [ours]
    assert find(clinic.paul, doctor_id=clinic.dev.id.upper()) == [theirs]
    assert find(clinic.paul, doctor_id=clinic.paul.id) == []


def test_booked_slots_are_shown_on_request_only(clinic: Clinic) -> None:
    open_slot, booked = clinic.dora.offers(), clinic.dora.offers()
    clinic.paul.has_booked(booked)
    assert find(clinic.petra) == find(clinic.petra, status="open") == [open_slot["id"]]
    assert find(clinic.petra, status="booked") == [booked["id"]]
    [item] = clinic.petra.gets("/availability/?status=booked", expect=200).json()["items"]
    assert item == {**booked, "status": "booked"}


def test_cancelled_slot_is_open_again(clinic: Clinic) -> None:
    slot = clinic.dora.offers()
    consultation = clinic.paul.has_booked(slot)
    assert find(clinic.petra) == []
    clinic.paul.cancels(consultation, expect=200)
    assert find(clinic.petra) == [slot["id"]]


def test_withdrawn_slot_is_never_shown(clinic: Clinic) -> None:
    slot = clinic.dora.offers()
    clinic.dora.deletes(f"/availability/{slot['id']}", expect=204)
    for person in (clinic.dora, clinic.amara):
        assert find(person) == find(person, status="booked") == []


def test_open_slots_of_an_inactive_doctor_are_hidden(clinic: Clinic) -> None:
    slot = clinic.dora.offers()
    clinic.amara.patches(f"/users/{clinic.dora.id}", {"is_active": False}, expect=200)
    assert find(clinic.paul) == find(clinic.paul, doctor_id=clinic.dora.id) == []
    clinic.amara.patches(f"/users/{clinic.dora.id}", {"is_active": True}, expect=200)
    assert find(clinic.paul) == [slot["id"]]


def test_by_default_slots_that_have_begun_are_not_shown(clinic: Clinic, owner: psycopg.Connection) -> None:
    begun, coming = clinic.dora.offers(tomorrow()), clinic.dora.offers(tomorrow() + HOUR)
    turn_back(owner, begun, 5 * DAY)
    assert find(clinic.paul) == [coming["id"]]
    assert find(clinic.paul, from_=tomorrow() - 6 * DAY) == [begun["id"], coming["id"]]


def test_by_default_92_days_are_shown(clinic: Clinic) -> None:
    now = datetime.now(UTC)
    inside, outside = clinic.dora.offers(now + 92 * DAY - HOUR), clinic.dora.offers(now + 92 * DAY + HOUR)
    assert find(clinic.paul) == [inside["id"]]
    assert find(clinic.paul, from_=now + DAY) == [inside["id"], outside["id"]]


def test_window_is_half_open(clinic: Clinic) -> None:
    starts_at = some_time()
    slot = clinic.dora.offers(starts_at)
    microsecond = timedelta(microseconds=1)
    assert find(clinic.paul, from_=starts_at, to=starts_at + microsecond) == [slot["id"]]
    assert find(clinic.paul, from_=starts_at - DAY, to=starts_at) == []
    assert find(clinic.paul, from_=starts_at + microsecond, to=starts_at + DAY) == []
    assert find(clinic.paul, from_=starts_at, to=starts_at) == []


def test_offset_in_a_query_counts(clinic: Clinic) -> None:
    slot = clinic.dora.offers(datetime(2031, 5, 1, 9, tzinfo=UTC))
    params = {"from": "2031-05-01T11:00:00+02:00", "to": "2031-05-01T05:00:01-04:00"}
    [item] = clinic.paul.gets("/availability/", params=params, expect=200).json()["items"]
    assert item == slot


def test_longer_window_than_92_days_is_422(clinic: Clinic) -> None:
    begin = tomorrow()
    assert find(clinic.paul, from_=begin, to=begin + 92 * DAY) == []
    for query in (
        {"from": iso(begin), "to": iso(begin + 92 * DAY + timedelta(seconds=1))},
        {"to": iso(datetime.now(UTC) + 93 * DAY)},
        {"from": iso(begin), "to": iso(begin - HOUR)},
    ):
        refused = clinic.paul.gets("/availability/", params=query, expect=422)
        assert [error["field"] for error in refused.json()["errors"]] == ["query.to"]


@pytest.mark.parametrize("begin", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9999-10-01T00:00:00Z"])
def test_ends_of_the_calendar_are_no_bug(clinic: Clinic, begin: str) -> None:
    assert clinic.paul.gets("/availability/", params={"from": begin}, expect=200).json()["items"] == []


@pytest.mark.parametrize(
    "query",
    [
        "from=2031-01-31",
        "from=2031-01-31T09:00:00",
        "from=",
        "from=0001-01-01T00:00:00%2B01:00",
        "to=9999-12-31T23:59:59-01:00",
        "to=never",
        "status=withdrawn",
        "status=",
        "doctor_id=1",
        "doctor_id=",
        "doctor_id=%00",
        "limit=0",
        "limit=101",
        "from_=2031-01-31T09:00:00Z",
        "patient_id=1",
        "status=open&status=booked",
    ],
)
def test_bad_query_is_422(clinic: Clinic, query: str) -> None:
    refused = clinic.paul.gets(f"/availability/?{query}", expect=422)
    assert refused.json()["errors"][0]["field"] == "query." + query.partition("=")[0]


def pages(person: Person, **query: Any) -> list[list[int]]:
    found, cursor = [], None
    while not found or cursor:
        params = {**query, **({"cursor": cursor} if cursor else {})}
        answer = person.gets("/availability/", params=params, expect=200).json()
        found.append([item["id"] for item in answer["items"]])
        cursor = answer["next_cursor"]
    return found


def test_pages_hold_every_slot_once_by_start_and_id(clinic: Clinic) -> None:
    hours = [tomorrow() + number * HOUR for number in range(3)]
    ids = [doctor.offers(hour)["id"] for hour in hours for doctor in (clinic.dora, clinic.dev)]
    assert pages(clinic.paul, limit=1) == [[id] for id in ids]
    assert pages(clinic.paul, limit=4) == [ids[:4], ids[4:]]
    assert pages(clinic.paul, limit=6) == [ids]


def test_pages_are_stable_while_slots_are_offered_and_booked(clinic: Clinic) -> None:
    slots = [clinic.dora.offers(tomorrow() + number * HOUR) for number in range(4)]
    first = clinic.paul.gets("/availability/?limit=2", expect=200).json()
    clinic.dev.offers(tomorrow())
    clinic.petra.has_booked(slots[0])
    params = {"limit": 2, "cursor": first["next_cursor"]}
    second = clinic.paul.gets("/availability/", params=params, expect=200).json()
    assert [item["id"] for item in second["items"]] == [slots[2]["id"], slots[3]["id"]]


def test_cursor_of_another_filter_or_caller_is_400_invalid_cursor(clinic: Clinic) -> None:
    for number in range(2):
        clinic.dora.offers(tomorrow() + number * HOUR)
    cursor = clinic.paul.gets("/availability/?limit=1", expect=200).json()["next_cursor"]
    begin = iso(tomorrow())
    others = (
        {"status": "booked"},
        {"doctor_id": clinic.dora.id},
        {"from": begin},
        {"to": begin},
        {"cursor": cursor[1:]},
    )
    refusals = [clinic.paul.gets("/availability/", params={"cursor": cursor, **other}) for other in others]
    refusals += [person.gets("/availability/", params={"cursor": cursor}) for person in (clinic.petra, clinic.dora)]
    refusals.append(clinic.paul.gets("/doctors/", params={"cursor": cursor}))
    assert {(refusal.status_code, refusal.json()["code"]) for refusal in refusals} == {(400, "invalid_cursor")}


def test_one_statement_finds_them_however_many_they_are(clinic: Clinic, written: Written) -> None:
    for number in range(3):
        for doctor in (clinic.dora, clinic.dev):
            doctor.offers(tomorrow() + number * HOUR)
    written.forget()
    assert len(find(clinic.paul)) == 6
    [statements] = [line["statements"] for line in written.lines("request") if line["route"] == "/availability/"]
    assert statements == 1


def test_without_a_token_it_is_401(clinic: Clinic) -> None:
    clinic.nobody.gets("/availability/", expect=401)
