"""What an operator sees of a clinical day on which much goes wrong: identifiers, and nobody's data."""

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from starlette.testclient import TestClient

from app.db import embedded
from app.main import create_app
from app.observability import logs
from tests.cast import Clinic, Person, found_clinic, fresh_key, prescription_for
from tests.conftest import settings_for
from tests.written import Written

CANARY = "canary"
PASSWORD = f"{CANARY}-plum-tractor"
MAIL = f"{CANARY}-paul@clinic.test"
MEDICATION, NOTES, REASON = f"{CANARY}-amoxicillin", f"{CANARY}-notes", f"{CANARY}-reason"
ACCESS_FIELDS = {
    *("event", "level", "timestamp", "request_id", "method", "route", "status", "duration_ms", "statements"),
    *("actor_id", "clinic_id"),
}


@pytest.fixture
def talkative(database_url: str) -> Iterator[TestClient]:
    """The application with every line that it can write."""
    with TestClient(create_app(settings_for(database_url, log_level="debug")), raise_server_exceptions=False) as client:
        yield client
    logs.configure("warning")


@pytest.fixture
def written(talkative: TestClient) -> Written:
    return Written()


@pytest.fixture
def day(talkative: TestClient, written: Written) -> Clinic:
    """A clinic in which everything that can be told in words has been told."""
    clinic = found_clinic(talkative)
    clinic.hires(f"{CANARY}-dora", role="doctor", specialty=f"{CANARY}-specialty")
    register(clinic, expect=201)
    paul = Person(clinic, email=MAIL, password=PASSWORD).logs_in()
    slot = clinic.dora.offers()
    consultation = paul.has_booked(slot)
    paul.cancels(consultation, REASON, expect=200)
    consultation = paul.has_booked(slot)
    clinic.dora.completes(consultation, expect=200)
    clinic.dora.posts("/prescriptions/", prescription(consultation), key=fresh_key(), expect=201)
    paul.gets("/prescriptions/my", expect=200)
    paul.patches("/users/me", {"full_name": f"{CANARY} Renamed"}, expect=200)
    paul.posts("/auth/password", {"current_password": PASSWORD, "new_password": f"{PASSWORD}-2"}, expect=204)
    paul.posts("/auth/refresh", {"refresh_token": paul.refresh_token})
    much_that_is_refused(clinic, paul, consultation)
    paul.posts("/auth/logout", {"refresh_token": paul.refresh_token}, expect=204)
    return clinic


def register(clinic: Clinic, *, expect: int) -> None:
    body = {"email": MAIL, "password": PASSWORD, "full_name": f"{CANARY} Patient", "clinic": clinic.slug}
    clinic.nobody.posts("/auth/register", body, expect=expect)


def prescription(consultation: dict[str, Any]) -> dict[str, Any]:
    body = prescription_for(consultation["id"], notes=NOTES)
    body["items"][0].update(medication=MEDICATION, instructions=f"{CANARY}-instructions")
    return body


def much_that_is_refused(clinic: Clinic, paul: Person, consultation: dict[str, Any]) -> None:
    nobody, dora = clinic.nobody, clinic.dora
    register(clinic, expect=409)
    slot = dora.offers()
    dora.posts("/availability/", {"starts_at": slot["starts_at"], "ends_at": slot["ends_at"]}, expect=409)
    nobody.posts("/auth/login", {"email": paul.email, "password": f"{CANARY}-wrong", "clinic": clinic.slug}, expect=401)
    nobody.posts("/auth/login", {"email": paul.email, "password": 5, CANARY: CANARY}, expect=422)
    nobody.posts("/auth/refresh", {"refresh_token": CANARY}, expect=401)
    nobody.gets("/users/me", headers={"authorization": f"Bearer {CANARY}"}, expect=401)
    nobody.gets(f"/{CANARY}", expect=404)
    nobody.sends("POST", "/auth/login", content=CANARY.encode(), headers={"content-type": f"text/{CANARY}"}, expect=415)
    nobody.sends("POST", "/auth/login", content=CANARY.encode() * 20_000, expect=413)
    nobody.gets("/health/live", headers={"x-request-id": f"{{{CANARY}}}", "user-agent": CANARY}, expect=200)
    paul.gets(f"/doctors/?q={CANARY}&specialty={CANARY}", expect=200)
    paul.gets(f"/doctors/?cursor={CANARY}", expect=400)
    paul.gets(f"/doctors/?{CANARY}=1", expect=422)
    paul.gets(f"/consultations/{CANARY}", expect=404)
    clinic.amara.gets(f"/users/?email={CANARY}-paul@clinic.test", expect=200)
    dora.posts("/prescriptions/", prescription(consultation), key=fresh_key(), expect=409)
    dora.patches(f"/consultations/{consultation['id']}/status", {"status": "cancelled", "reason": REASON}, expect=409)


def test_no_line_of_ours_holds_what_people_told(day: Clinic, written: Written) -> None:
    assert len(written.lines("request")) > 30
    assert CANARY not in written.text


def test_no_token_is_written(day: Clinic, written: Written) -> None:
    for person in (day.amara, day.dora):
        assert str(person.token) not in written.text
        assert str(person.token).rsplit(".", 1)[-1] not in written.text
        assert str(person.refresh_token) not in written.text


def test_postgresql_writes_nothing_of_it_either(postgres: embedded.Attachment, day: Clinic) -> None:
    assert CANARY not in postgres.log_path.read_text(encoding="utf-8", errors="replace")


def test_every_request_leaves_one_line_with_identifiers(day: Clinic, written: Written) -> None:
    for line in written.lines("request"):
        assert set(line) <= ACCESS_FIELDS
        assert {*ACCESS_FIELDS} - set(line) <= {"actor_id", "clinic_id"}
        assert line["duration_ms"] > 0
    booked = next(line for line in written.lines("request") if line["route"] == "/bookings/")
    assert (booked["method"], booked["status"], booked["statements"]) == ("POST", 201, 1)
    assert booked["clinic_id"] == day.id
    assert len(booked["actor_id"]) == 36


def test_routes_are_templates(day: Clinic, written: Written) -> None:
    routes = {line["route"] for line in written.lines("request")}
    assert routes <= {*day.client.get("/openapi.json").json()["paths"], "(unknown)", "/openapi.json"}
    assert {"/consultations/{id}", "/consultations/{id}/status", "(unknown)"} <= routes


def test_request_id_of_the_answer_is_in_the_line(talkative: TestClient, written: Written) -> None:
    answer = talkative.get("/nowhere", headers={"x-request-id": "my-request-id"})
    assert answer.json()["request_id"] == "my-request-id"
    assert [line["request_id"] for line in written.lines("request")] == ["my-request-id"]


def test_one_request_does_not_inherit_the_caller_of_another(talkative: TestClient, written: Written) -> None:
    clinic = found_clinic(talkative)
    clinic.amara.gets("/users/me", expect=200)
    clinic.nobody.gets("/health/live", expect=200)
    last = written.lines("request")[-1]
    assert last["route"] == "/health/live"
    assert {"actor_id", "clinic_id"}.isdisjoint(last)


@pytest.fixture(params=["constraint", "trigger"])
def bug(request: pytest.FixtureRequest, owner: psycopg.Connection) -> Iterator[None]:
    """A rule of the database that the code does not know of, and that quotes what it refuses."""
    if request.param == "constraint":
        owner.execute(
            f"ALTER TABLE prescriptions ADD CONSTRAINT ck_bug CHECK (NOT starts_with(idempotency_key, '{CANARY}'))"
            " NOT VALID"
        )
        yield
        owner.execute("ALTER TABLE prescriptions DROP CONSTRAINT ck_bug")
        return
    owner.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'bug: %', NEW.idempotency_key USING DETAIL = NEW.idempotency_key; END $$"
    )
    owner.execute("CREATE TRIGGER bug BEFORE INSERT ON prescriptions FOR EACH ROW EXECUTE FUNCTION refuse()")
    yield
    owner.execute("DROP TRIGGER bug ON prescriptions")
    owner.execute("DROP FUNCTION refuse")


def test_bug_is_told_by_type_and_place_without_a_value(
    talkative: TestClient, written: Written, postgres: embedded.Attachment, bug: None
) -> None:
    clinic = found_clinic(talkative)
    consultation = clinic.paul.has_booked(clinic.dora.offers())
    clinic.dora.completes(consultation, expect=200)
    # The one text of the row that PostgreSQL has in clear.
    answer = clinic.dora.posts("/prescriptions/", prescription(consultation), key=f"{CANARY}-{fresh_key()}", expect=500)
    assert answer.json()["code"] == "internal_error"
    assert CANARY not in answer.text
    line = written.lines("request failed")[0]
    assert line["request_id"] == answer.json()["request_id"]
    assert "psycopg.errors" in json.dumps(line["exception"])
    assert any("prescription/service.py" in frame for frame in line["exception"]["frames"])
    assert written.lines("request")[-1]["status"] == 500
    assert CANARY not in written.text
    assert CANARY not in postgres.log_path.read_text(encoding="utf-8", errors="replace")


def test_exception_that_nobody_awaited_is_told_without_its_message(talkative: TestClient, written: Written) -> None:
    async def forget() -> None:
        async def fail() -> None:
            raise ValueError(f"Key (email)=({CANARY}) already exists")

        task = asyncio.ensure_future(fail())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del task

    assert talkative.portal
    talkative.portal.call(forget)
    assert "ValueError" in written.text
    assert CANARY not in written.text


def test_library_that_puts_values_into_its_messages_is_told_without_them(written: Written) -> None:
    for name in ("psycopg", "sqlalchemy.engine", "uvicorn.error", "asyncio", "nobody.knows"):
        try:
            raise ValueError(CANARY)
        except ValueError as error:
            logging.getLogger(name).warning("error ignored on %s: %s", 5, error, exc_info=True)
            logging.getLogger(name).exception(f"it failed\n{CANARY}")  # noqa: G004 - as asyncio does it
    assert len(written.lines()) == 10
    assert CANARY not in written.text


def test_quiet_libraries_do_not_tell_addresses(written: Written) -> None:
    for name in ("psycopg.pool", "httpx", "uvicorn.access", "alembic.runtime.migration"):
        logging.getLogger(name).info("postgresql://nobody:%s@localhost", CANARY)
    assert not written.text
