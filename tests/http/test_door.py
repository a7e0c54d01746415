"""Who is let in when more come than can be served: a crowd waits beside, and the excess is told so at once."""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import psycopg
import pytest

from app.cli import wire
from tests.cast import Clinic, Person, fresh_key
from tests.http.served import Address, exchange, request, status_of
from tests.patience import eventually


@pytest.fixture
def people() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> wire.Door:
    door = wire.Door()
    monkeypatch.setattr(wire.Protocol, "door", door)
    return door


def problem_of(answer: bytes) -> dict[str, object]:
    return json.loads(answer.partition(b"\r\n\r\n")[2])


def books(person: Person, slot: int) -> bytes:
    body = b'{"slot_id": %d}' % slot
    key, token = f"Idempotency-Key: {fresh_key()}", f"Authorization: Bearer {person.token}"
    kind, length = "Content-Type: application/json", f"Content-Length: {len(body)}"
    return request("POST /bookings/ HTTP/1.1", key, token, kind, length, "Connection: close", body=body)


def test_excess_is_turned_away_at_once(address: Address, clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "AT_WORK_MAX", 0)
    me = request("GET /users/me HTTP/1.1", f"Authorization: Bearer {clinic.paul.token}", "X-Request-ID: of-the-caller")
    answer = exchange(address, me)
    assert status_of(answer) == 429
    head = answer.partition(b"\r\n\r\n")[0].decode().lower().split("\r\n")
    fields = dict(line.split(": ", 1) for line in head[1:])
    assert fields["retry-after"] in ("1", "2", "3")
    assert fields["x-request-id"] == "of-the-caller"
    assert fields["content-type"] == "application/problem+json"
    assert fields["cache-control"] == "no-store"
    assert fields["x-content-type-options"] == "nosniff"
    problem = problem_of(answer)
    assert (problem["code"], problem["status"], problem["request_id"]) == ("rate_limited", 429, "of-the-caller")


def test_connection_is_kept_and_health_always_answers(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "AT_WORK_MAX", 0)
    answers = exchange(address, request("GET /doctors/ HTTP/1.1"), request("GET /health/live HTTP/1.1"), pause_s=0.1)
    assert answers.count(b"HTTP/1.1 429") == 1
    assert answers.count(b"HTTP/1.1 200") == 1


def test_body_in_pieces_is_not_waited_for(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "AT_WORK_MAX", 0)
    head = request("POST /auth/login HTTP/1.1", "Content-Type: application/json", "Content-Length: 900")
    answer = exchange(address, head, b"{", pause_s=0.1)
    assert status_of(answer) == 429
    assert b"connection: close" in answer


def test_rest_of_a_body_is_no_request(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever hides a request in a body gets one answer, for the request whose body it is."""
    monkeypatch.setattr(wire, "AT_WORK_MAX", 0)
    hidden = request("GET /doctors/ HTTP/1.1")
    head = request("POST /auth/login HTTP/1.1", "Content-Type: application/json", f"Content-Length: {len(hidden)}")
    assert exchange(address, head, hidden, pause_s=0.1).count(b"HTTP/1.1 ") == 1


def test_head_in_pieces_is_one_request(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "AT_WORK_MAX", 0)
    whole = request("GET /doctors/ HTTP/1.1")
    inner = request("GET /doctors/ HTTP/1.1")
    # What follows looks like a request of its own, and is a field of the first one.
    answer = exchange(address, whole[:-2] + b"X-Odd: ", inner, pause_s=0.1)
    assert answer.count(b"HTTP/1.1 ") == 1


def test_several_on_one_connection_are_each_turned_away(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "AT_WORK_MAX", 0)
    one = request("GET /doctors/ HTTP/1.1")
    assert exchange(address, one, one, one, pause_s=0.1).count(b"HTTP/1.1 429") == 3


def test_turned_away_consumes_no_key(address: Address, clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    wish = books(clinic.paul, clinic.dora.offers()["id"])
    with monkeypatch.context() as full:
        full.setattr(wire, "AT_WORK_MAX", 0)
        assert status_of(exchange(address, wish)) == 429
    assert status_of(exchange(address, wish)) == 201


def test_crowd_waits_beside_and_others_walk_past(
    address: Address,
    clinic: Clinic,
    owner: psycopg.Connection,
    people: ThreadPoolExecutor,
    door: wire.Door,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wire, "ALIKE_AT_WORK_MAX", 1)
    slot = clinic.dora.offers()["id"]
    crowd = [clinic.hires(f"crowd-{number}", role="patient") for number in range(5)]
    elsewhere = books(clinic.paul, clinic.dev.offers()["id"])
    with owner.transaction():
        owner.execute("SELECT FROM availability_slots WHERE id = %s FOR UPDATE", [slot])
        answers: list[Future[bytes]] = [people.submit(exchange, address, books(one, slot)) for one in crowd]
        eventually(lambda: len(door._waiting) == 3)
        assert status_of(exchange(address, elsewhere)) == 201
        assert [answer.result()[:400] for answer in answers if answer.done()] == []
    statuses = sorted(status_of(answer.result()) for answer in answers)
    assert statuses == [201, 409, 409, 409, 409]
    eventually(lambda: not door._at_work and not door._alike_at_work)


def test_crowd_beyond_measure_is_turned_away(
    address: Address,
    clinic: Clinic,
    owner: psycopg.Connection,
    people: ThreadPoolExecutor,
    door: wire.Door,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wire, "ALIKE_AT_WORK_MAX", 1)
    monkeypatch.setattr(wire, "ALIKE_WAITING_MAX", 1)
    slot = clinic.dora.offers()["id"]
    crowd = [clinic.hires(f"crowd-{number}", role="patient") for number in range(5)]
    with owner.transaction():
        owner.execute("SELECT FROM availability_slots WHERE id = %s FOR UPDATE", [slot])
        answers = [people.submit(exchange, address, books(one, slot)) for one in crowd]
        eventually(lambda: sum(answer.done() for answer in answers) == 2)
        assert {status_of(answer.result()) for answer in answers if answer.done()} == {429}
    assert sorted(status_of(answer.result()) for answer in answers) == [201, 409, 409, 429, 429]
