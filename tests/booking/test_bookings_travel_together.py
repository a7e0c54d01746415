"""Bookings of one moment are one statement; whatever befalls one of them befalls no other."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import psycopg
import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from app.booking.sql import BOOK_SLOT
from app.db import database, joined, lane
from app.db.joined import CALLS_MAX
from tests.cast import Clinic, Person, fresh_key, some_time
from tests.patience import eventually
from tests.tables import held, rows_of

Booking = Callable[[], Response]
LOCK = "UPDATE availability_slots SET status = status WHERE id = %s"


class Stop:
    """Where bookings of the application gather: behind one that waits for a locked row."""

    def __init__(self, client: TestClient, clinic: Clinic, database_url: str) -> None:
        self.client = client
        self.clinic = clinic
        self.database_url = database_url

    @property
    def waiting(self) -> int:
        return len(self.client.app.state.db._joined[BOOK_SLOT, self.clinic.id]._waiting)

    def travel(self, *bookings: Booking) -> list[Response]:
        """The answers to bookings that left in one statement, in their order."""
        slot, ahead = self.clinic.dora.offers()["id"], self.clinic.hires("ahead", role="patient")
        with ThreadPoolExecutor(1 + len(bookings)) as threads:
            with held(self.database_url, LOCK, [slot]) as locked:
                threads.submit(ahead.books, slot)
                eventually(lambda: self.under_way == 1)
                answers: list[Future[Response]] = []
                for booking in bookings:
                    answers.append(threads.submit(booking))
                    eventually(lambda: self.waiting == len(answers))
                locked.rollback()
            return [answer.result() for answer in answers]

    @property
    def under_way(self) -> int:
        return len(self.client.app.state.db._joined[BOOK_SLOT, self.clinic.id]._together)


@pytest.fixture
def stop(client: TestClient, clinic: Clinic, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stop]:
    # Long enough for a slow machine to gather everybody.
    monkeypatch.setattr(database, "JOINED_LOCK_TIMEOUT_MS", 4_000)
    monkeypatch.setattr(lane, "LATE_S", 4)
    clinic.paul.has_booked(clinic.dora.offers())
    client.app.state.db._joined[BOOK_SLOT, clinic.id]._most = CALLS_MAX
    yield Stop(client, clinic, database_url)
    client.app.state.db._joined[BOOK_SLOT, clinic.id]._most = CALLS_MAX


@pytest.fixture
def patients(clinic: Clinic) -> list[Person]:
    return [clinic.hires(f"patient-{number}", role="patient") for number in range(5)]


def statuses(answers: list[Response]) -> list[int]:
    return [answer.status_code for answer in answers]


@pytest.mark.parametrize("a_turn", [joined.SETTLED_A_TURN, 2])
def test_each_gets_their_own(
    stop: Stop,
    clinic: Clinic,
    patients: list[Person],
    owner: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    a_turn: int,
) -> None:
    monkeypatch.setattr(joined, "SETTLED_A_TURN", a_turn)
    slots = [clinic.dora.offers() for _ in patients]
    before = rows_of(owner, "consultations", clinic)
    pairs = list(zip(patients, slots, strict=True))
    answers = stop.travel(*(lambda person=person, slot=slot: person.books(slot) for person, slot in pairs))
    assert statuses(answers) == [201] * len(pairs)
    for (person, slot), answer in zip(pairs, answers, strict=True):
        assert (answer.json()["slot_id"], answer.json()["patient_id"]) == (slot["id"], person.id)
    assert rows_of(owner, "consultations", clinic) == before + len(pairs) + 1


def test_one_slot_goes_to_one(stop: Stop, clinic: Clinic, patients: list[Person]) -> None:
    slot, other = clinic.dora.offers(), clinic.dora.offers()
    answers = stop.travel(
        *(lambda person=person: person.books(slot) for person in patients[:4]), lambda: patients[4].books(other)
    )
    assert sorted(statuses(answers[:4])) == [201, 409, 409, 409]
    assert {answer.json().get("code") for answer in answers[:4]} == {None, "slot_unavailable"}
    assert answers[4].status_code == 201


def test_refusal_by_a_constraint_is_one_persons(stop: Stop, clinic: Clinic, patients: list[Person]) -> None:
    moment = some_time()
    patients[0].has_booked(clinic.dora.offers(moment))
    elsewhere = clinic.dev.offers(moment)
    slots = [clinic.dora.offers() for _ in patients[1:]]
    answers = stop.travel(
        lambda: patients[0].books(elsewhere),
        *(
            lambda person=person, slot=slot: person.books(slot)
            for person, slot in zip(patients[1:], slots, strict=True)
        ),
    )
    assert statuses(answers) == [409, 201, 201, 201, 201]
    assert answers[0].json()["code"] == "patient_overlap"


def test_one_key_is_one_booking(stop: Stop, clinic: Clinic, patients: list[Person]) -> None:
    person, slot, other, key = patients[0], clinic.dora.offers(), clinic.dora.offers(), fresh_key()
    first, again, reused, stranger = stop.travel(
        lambda: person.books(slot, key=key),
        lambda: person.books(slot, key=key),
        lambda: person.books(other, key=key),
        lambda: patients[1].books(other, key=key),
    )
    assert statuses([first, again, reused, stranger]) == [201, 201, 422, 201]
    assert first.content == again.content
    assert sorted("idempotency-replayed" in answer.headers for answer in (first, again)) == [False, True]
    assert reused.json()["code"] == "idempotency_key_reused"


def test_who_is_nobody_any_more_is_alone_in_it(
    stop: Stop, clinic: Clinic, patients: list[Person], owner: psycopg.Connection
) -> None:
    slot, other = clinic.dora.offers(), clinic.dora.offers()
    # Behind the application's back: its list of void tokens does not know yet.
    owner.execute("UPDATE users SET is_active = false WHERE id = %s", [patients[0].id])
    answers = stop.travel(lambda: patients[0].books(slot), lambda: patients[1].books(other))
    assert statuses(answers) == [401, 201]


def test_locked_slot_holds_up_its_own_booking_only(
    client: TestClient, clinic: Clinic, patients: list[Person], database_url: str
) -> None:
    locked, free = clinic.dora.offers()["id"], [clinic.dora.offers() for _ in patients[1:]]
    with ThreadPoolExecutor(1) as threads, held(database_url, LOCK, [locked]) as lock_holder:
        stuck = threads.submit(patients[0].books, locked)
        for person, slot in zip(patients[1:], free, strict=True):
            person.books(slot, expect=201)
        assert not stuck.done()
        lock_holder.rollback()
        assert stuck.result().status_code == 201


def test_a_late_statement_lets_one_more_go_and_no_third(
    stop: Stop, clinic: Clinic, patients: list[Person], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "LATE_S", 0.05)
    one, other, free, last = (clinic.dora.offers()["id"] for _ in range(4))
    with ThreadPoolExecutor(3) as threads, held(database_url, LOCK, [one]) as first_lock:
        stuck = [threads.submit(patients[0].books, one)]
        eventually(lambda: stop.under_way == 1)
        patients[1].books(free, expect=201)
        with held(database_url, LOCK, [other]) as second_lock:
            stuck.append(threads.submit(patients[2].books, other))
            eventually(lambda: stop.under_way == 2)
            waits = threads.submit(patients[3].books, last)
            eventually(lambda: stop.waiting == 1)
            first_lock.rollback()
            assert waits.result().status_code == 201
            eventually(lambda: stop.under_way == 1)
            second_lock.rollback()
        assert statuses([answer.result() for answer in stuck]) == [201, 201]


def test_clinics_travel_apart(
    stop: Stop, clinic: Clinic, elsewhere: Clinic, patients: list[Person], database_url: str
) -> None:
    """Each statement is one clinic's, so that it stays on one shard and none waits for another."""
    locked = clinic.dora.offers()["id"]
    with ThreadPoolExecutor(1) as threads, held(database_url, LOCK, [locked]) as lock_holder:
        threads.submit(patients[1].books, locked)
        eventually(lambda: stop.under_way == 1)
        elsewhere.paul.books(elsewhere.dora.offers(), expect=201)
        assert stop.under_way == 1
        lock_holder.rollback()
