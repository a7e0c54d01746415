"""Nobody hoards slots: so many consultations ahead, so many bookings a day."""

import threading
from collections.abc import Iterator

import psycopg
import pytest
from httpx2 import Response

from app.db import embedded
from app.identity.users import service as users
from tests.cast import Clinic, fresh_key
from tests.conftest import apart

AHEAD, A_DAY = 3, 6


@pytest.fixture
def strict(postgres: embedded.Attachment) -> Iterator[tuple[Clinic, psycopg.Connection]]:
    """A clinic with low limits, and the superuser's connection, which turns clocks."""
    with (
        apart(postgres, "hoarded", bookings_ahead_max=AHEAD, bookings_a_day_max=A_DAY) as (clinic, url),
        psycopg.connect(url, autocommit=True) as superuser,
    ):
        yield clinic, superuser


def test_one_more_than_the_limit_is_409_booking_limit_reached(strict: tuple[Clinic, psycopg.Connection]) -> None:
    clinic, superuser = strict
    for _ in range(AHEAD):
        clinic.paul.has_booked(clinic.dora.offers())
    slot, key = clinic.dora.offers(), fresh_key()
    assert clinic.paul.books(slot, key=key, expect=409).json()["code"] == "booking_limit_reached"
    status = superuser.execute("SELECT status FROM availability_slots WHERE id = %s", [slot["id"]]).fetchone()
    assert status == ("open",)
    clinic.petra.books(slot, expect=201)


def test_refusal_sticks_to_its_key_and_room_is_made_by_cancelling(strict: tuple[Clinic, psycopg.Connection]) -> None:
    clinic, _ = strict
    booked = [clinic.paul.has_booked(clinic.dora.offers()) for _ in range(AHEAD)]
    slot, key = clinic.dora.offers(), fresh_key()
    clinic.paul.books(slot, key=key, expect=409)
    clinic.paul.cancels(booked[0], expect=200)
    again = clinic.paul.books(slot, key=key, expect=409)
    assert (again.json()["code"], again.headers["idempotency-replayed"]) == ("booking_limit_reached", "true")
    clinic.paul.books(slot, expect=201)


def test_clinic_has_limits_of_its_own(strict: tuple[Clinic, psycopg.Connection]) -> None:
    clinic, _ = strict
    limit(clinic, ahead_max=1)
    clinic.paul.has_booked(clinic.dora.offers())
    assert clinic.paul.books(clinic.dora.offers(), expect=409).json()["code"] == "booking_limit_reached"
    limit(clinic, ahead_max=AHEAD + 1, a_day_max=AHEAD + 1)
    for _ in range(AHEAD):
        clinic.paul.has_booked(clinic.dora.offers())
    clinic.paul.books(clinic.dora.offers(), expect=409)
    limit(clinic, ahead_max=0)
    clinic.paul.has_booked(clinic.dora.offers())
    limit(clinic)
    clinic.paul.books(clinic.dora.offers(), expect=409)
    rows = clinic.amara.audit_rows(action="clinic.bookings_limited")
    assert [row["details"]["bookings_ahead_max"] for row in rows] == [None, 0, AHEAD + 1, 1]


def limit(clinic: Clinic, *, ahead_max: int | None = None, a_day_max: int | None = None) -> None:
    """As `telemed clinic limit-bookings` does."""
    assert clinic.client.portal is not None
    db = clinic.client.app.state.db  # type: ignore[attr-defined]
    clinic.client.portal.call(
        lambda: users.limit_bookings(
            db, clinic_id=clinic.id, ahead_max=ahead_max, a_day_max=a_day_max, request_id="test"
        )
    )


def test_what_is_over_is_not_ahead(strict: tuple[Clinic, psycopg.Connection]) -> None:
    clinic, superuser = strict
    for _ in range(AHEAD):
        clinic.paul.has_booked(clinic.dora.offers())
    superuser.execute("ALTER TABLE consultations DISABLE TRIGGER tr_consultations_final")
    superuser.execute(
        "UPDATE consultations SET starts_at = now() - interval '1 hour', ends_at = now()"
        " WHERE id = (SELECT id FROM consultations LIMIT 1)"
    )
    clinic.paul.books(clinic.dora.offers(), expect=201)


def test_who_cancels_and_books_again_and_again_waits_until_tomorrow(
    strict: tuple[Clinic, psycopg.Connection],
) -> None:
    clinic, superuser = strict
    for _ in range(A_DAY):
        clinic.paul.cancels(clinic.paul.has_booked(clinic.dora.offers()), expect=200)
    slot = clinic.dora.offers()
    assert clinic.paul.books(slot, expect=409).json()["code"] == "booking_limit_reached"
    superuser.execute("ALTER TABLE consultations DISABLE TRIGGER tr_consultations_final")
    superuser.execute("UPDATE consultations SET created_at = created_at - interval '1 day'")
    clinic.paul.books(slot, expect=201)


def test_overlap_comes_before_the_limit(strict: tuple[Clinic, psycopg.Connection]) -> None:
    clinic, _ = strict
    slots = [clinic.dora.offers() for _ in range(AHEAD)]
    for slot in slots:
        clinic.paul.has_booked(slot)
    assert clinic.paul.books(slots[0], expect=409).json()["code"] == "slot_already_yours"


def test_of_many_bookings_at_once_only_as_many_as_allowed_are_made(
    strict: tuple[Clinic, psycopg.Connection],
) -> None:
    clinic, superuser = strict
    slots = [clinic.dora.offers() for _ in range(12)]
    assert clinic.paul.id
    barrier, told = threading.Barrier(len(slots)), list[Response]()

    def book(slot: dict[str, object]) -> None:
        barrier.wait()
        told.append(clinic.paul.books(slot))

    threads = [threading.Thread(target=book, args=[slot]) for slot in slots]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in told) == [201] * AHEAD + [409] * (len(slots) - AHEAD)
    assert {answer.json().get("code") for answer in told} == {None, "booking_limit_reached"}
    assert superuser.execute("SELECT count(*) FROM consultations").fetchone() == (AHEAD,)


def test_two_replicas_at_once_are_held_to_it_by_the_database(strict: tuple[Clinic, psycopg.Connection]) -> None:
    clinic, superuser = strict
    clinic.paul.has_booked(clinic.dora.offers())
    dsn, insert = (
        superuser.info.dsn,
        (
            "INSERT INTO consultations"
            " (clinic_id, id, slot_id, doctor_id, patient_id, starts_at, ends_at, idempotency_key)"
            " SELECT clinic_id, gen_random_uuid(), id, doctor_id, %s, starts_at, ends_at, 'key-' || id"
            " FROM availability_slots WHERE id = %s"
        ),
    )
    options = f"-c telemed.bookings_ahead_max=2 -c telemed.bookings_a_day_max={A_DAY}"
    here, there = clinic.dora.offers(), clinic.dora.offers()
    with psycopg.connect(dsn, options=options) as one, psycopg.connect(dsn, options=options) as other:
        one.execute(insert, [clinic.paul.id, here["id"]])
        # The other one waits for the first, and then counts it.
        waiting = threading.Thread(target=lambda: outcome.append(refused(other, insert, clinic.paul.id, there["id"])))
        outcome: list[str | None] = []
        waiting.start()
        while not superuser.execute("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").fetchall():
            assert waiting.is_alive()
        one.commit()
        waiting.join()
    assert outcome == ["tr_consultations_not_hoarded"]


def refused(connection: psycopg.Connection, insert: str, patient_id: str, slot_id: int) -> str | None:
    try:
        connection.execute(insert, [patient_id, slot_id])
    except psycopg.errors.CheckViolation as error:
        return error.diag.constraint_name
    return None
