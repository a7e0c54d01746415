"""Searches of one moment are one statement; each gets its own page."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

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


def together(client: TestClient, database_url: str, *searches: Search) -> list[Any]:
    """The answers to searches of which all but the first two left in one statement."""

    def asked() -> int:
        # The first ones leave alone, one after the other; the others wait for them.
        return sum(len(joined._together) + len(joined._waiting) for joined in client.app.state.db._joined.values())

    with ThreadPoolExecutor(len(searches)) as threads, held(database_url, LOCK, []) as locked:
        answers = []
        for number, search in enumerate(searches, start=1):
            answers.append(threads.submit(search))
            eventually(lambda number=number: asked() == number)
        locked.rollback()
        return [answer.result().json()["items"] for answer in answers]


def of(who: Person, doctor: Person, **query: Any) -> Search:
    return lambda: who.gets("/availability/", params={"doctor_id": doctor.id, **query}, expect=200)


def test_each_gets_their_own_page(client: TestClient, clinic: Clinic, doctors: list[Person], database_url: str) -> None:
    pages = together(client, database_url, *(of(clinic.paul, doctor) for doctor in [*doctors, *reversed(doctors)]))
    counts = [1, 2, 3, 4, 5]
    assert [len(page) for page in pages] == [*counts, *reversed(counts)]
    for page, doctor in zip(pages, [*doctors, *reversed(doctors)], strict=True):
        assert {slot["doctor_id"] for slot in page} == {doctor.id}
        assert [slot["starts_at"] for slot in page] == sorted(slot["starts_at"] for slot in page)


def test_doctor_who_left_empties_her_own_page_only(
    client: TestClient, clinic: Clinic, doctors: list[Person], database_url: str
) -> None:
    clinic.amara.patches(f"/users/{doctors[3].id}", {"is_active": False}, expect=200)
    pages = together(client, database_url, *(of(clinic.paul, doctor) for doctor in doctors))
    assert [len(page) for page in pages] == [1, 2, 3, 0, 5]


def test_pages_of_other_lengths_are_other_statements(clinic: Clinic, doctors: list[Person]) -> None:
    with ThreadPoolExecutor(5) as threads:
        asked = [threads.submit(of(clinic.paul, doctors[4], limit=limit)) for limit in (1, 2, 3, 4, 5)]
    assert [len(answer.result().json()["items"]) for answer in asked] == [1, 2, 3, 4, 5]
