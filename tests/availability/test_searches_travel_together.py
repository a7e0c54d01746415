"""Searches of one moment are one statement; each gets its own page."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from app.db.joined import Joined, Values
from tests.cast import Clinic, Person, some_time
from tests.patience import eventually
from tests.tables import held

LOCK = "LOCK TABLE availability_slots IN ACCESS EXCLUSIVE MODE"
Search = Callable[[], Any]


@pytest.fixture
def doctors(clinic: Clinic) -> list[Person]:
    hired = [clinic.hires(f"doctor-{number}", role="doctor") for number in range(5)]
    for number, doctor in enumerate(hired):
        begin = some_time()
        for hour in range(number + 1):
            doctor.offers(begin + timedelta(hours=hour))
    return hired


def together(database_url: str, *searches: Search) -> list[Any]:
    """The answers to searches that wait at the same time, in few statements."""
    calls = []
    call = Joined.call

    async def counted(self: Joined[Any], values: Values) -> list[Any]:
        calls.append(values)
        return await call(self, values)

    with (
        pytest.MonkeyPatch.context() as patched,
        ThreadPoolExecutor(len(searches)) as threads,
        held(database_url, LOCK, []) as locked,
    ):
        patched.setattr(Joined, "call", counted)
        answers = [threads.submit(search) for search in searches]
        eventually(lambda: len(calls) == len(searches))
        locked.rollback()
        return [answer.result().json()["items"] for answer in answers]


def of(who: Person, doctor: Person, **query: Any) -> Search:
    return lambda: who.gets("/availability/", params={"doctor_id": doctor.id, **query}, expect=200)


def test_each_gets_their_own_page(clinic: Clinic, doctors: list[Person], database_url: str) -> None:
    pages = together(database_url, *(of(clinic.paul, doctor) for doctor in [*doctors, *reversed(doctors)]))
    counts = [1, 2, 3, 4, 5]
    assert [len(page) for page in pages] == [*counts, *reversed(counts)]
    for page, doctor in zip(pages, [*doctors, *reversed(doctors)], strict=True):
        assert {slot["doctor_id"] for slot in page} == {doctor.id}
        assert [slot["starts_at"] for slot in page] == sorted(slot["starts_at"] for slot in page)


def test_doctor_who_left_empties_her_own_page_only(clinic: Clinic, doctors: list[Person], database_url: str) -> None:
    clinic.amara.patches(f"/users/{doctors[3].id}", {"is_active": False}, expect=200)
    pages = together(database_url, *(of(clinic.paul, doctor) for doctor in doctors))
    assert [len(page) for page in pages] == [1, 2, 3, 0, 5]


def test_pages_of_other_lengths_are_other_statements(clinic: Clinic, doctors: list[Person]) -> None:
    with ThreadPoolExecutor(5) as threads:
        asked = [threads.submit(of(clinic.paul, doctors[4], limit=limit)) for limit in (1, 2, 3, 4, 5)]
    assert [len(answer.result().json()["items"]) for answer in asked] == [1, 2, 3, 4, 5]
