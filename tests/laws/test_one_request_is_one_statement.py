"""A command that succeeds is one SQL statement, a read at most one: PostgreSQL counts it, and the access log tells."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from httpx2 import Response

from app.db import embedded
from app.observability import logs
from tests.cast import Clinic, Person, fresh_key, iso, prescription_for, some_time
from tests.conftest import apart
from tests.contract import document
from tests.laws.catalog import routes
from tests.prescription.test_post_prescriptions import held_consultation
from tests.written import Written

# The application asks for void tokens whenever it likes, whoever calls. On whose behalf a statement runs travels with
# it, in the same flight and the same transaction.
COUNTED = """
SELECT coalesce(sum(calls), 0)::int FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND userid = 'telemed_app'::regrole AND query !~ 'FROM revocations|DELETE FROM revocations'
    AND query !~ '^SELECT set_config'
"""
READS = sorted({path for method, path, _ in routes() if method == "GET"})
OF_ADMINS = ("/users/", "/consultations/", "/audit-logs/", "/break-glass/")


@dataclass
class Counter:
    """A clinic of its own, and what PostgreSQL and the access log say of a request."""

    clinic: Clinic
    superuser: psycopg.Connection[Any]
    written: Written

    def statements_of(self, person: Person, method: str, path: str, **request: Any) -> tuple[int, Response]:
        """How many statements the application's role ran for one request."""
        assert person.token
        document(self.clinic.client)
        self.written.forget()
        self.superuser.execute("SELECT pg_stat_statements_reset(dbid => oid) FROM pg_database")
        answer = person.sends(method, path, **request)
        row = self.superuser.execute(COUNTED).fetchone()
        assert row is not None
        [told] = [line["statements"] for line in self.written.lines("request")]
        assert told == row[0], "the access log tells what PostgreSQL counted"
        return row[0], answer


@pytest.fixture
def counter(postgres: embedded.Attachment) -> Iterator[Counter]:
    with (
        apart(postgres, "counted", log_level="info") as (clinic, superuser_url),
        psycopg.connect(superuser_url, autocommit=True) as superuser,
    ):
        superuser.execute("CREATE EXTENSION pg_stat_statements")
        yield Counter(clinic, superuser, Written())
    logs.configure("warning")


def test_booking_is_one_statement(counter: Counter) -> None:
    clinic = counter.clinic
    clinic.paul.has_booked(clinic.dora.offers())
    for _ in range(3):
        body = {"slot_id": clinic.dora.offers()["id"]}
        count, answer = counter.statements_of(clinic.paul, "POST", "/bookings/", json=body, key=fresh_key())
        assert (answer.status_code, count) == (201, 1)


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_change_of_status_is_one_statement(counter: Counter, status: str) -> None:
    clinic = counter.clinic
    path = f"/consultations/{clinic.paul.has_booked(clinic.dora.offers())['id']}/status"
    count, answer = counter.statements_of(clinic.dora, "PATCH", path, json={"status": status})
    assert (answer.status_code, count) == (200, 1)


def test_prescription_is_one_statement(counter: Counter) -> None:
    clinic = counter.clinic
    body = prescription_for(held_consultation(clinic)["id"])
    count, answer = counter.statements_of(clinic.dora, "POST", "/prescriptions/", json=body, key="key-of-mine")
    assert (answer.status_code, count) == (201, 1)


def test_offer_is_one_statement(counter: Counter) -> None:
    body = {"starts_at": iso(some_time()), "ends_at": iso(some_time())}
    count, answer = counter.statements_of(counter.clinic.dora, "POST", "/availability/", json=body)
    assert (answer.status_code, count) == (201, 1)


def test_replay_does_not_grow(counter: Counter) -> None:
    clinic = counter.clinic
    body, key = {"slot_id": clinic.dora.offers()["id"]}, "key-of-mine"
    clinic.paul.posts("/bookings/", body, key=key, expect=201)
    count, answer = counter.statements_of(clinic.paul, "POST", "/bookings/", json=body, key=key)
    assert answer.headers["idempotency-replayed"] == "true"
    assert count == 3, "no key, who had it, what it made"


def test_every_read_is_at_most_one_statement(counter: Counter) -> None:
    clinic = counter.clinic
    consultation = held_consultation(clinic)
    prescription = clinic.dora.prescribes(consultation, expect=201).json()
    ids = {
        "doctors": clinic.dora.id,
        "patients": clinic.paul.id,
        "consultations": consultation["id"],
        "prescriptions": prescription["id"],
    }
    clinic.dora.posts(f"/patients/{clinic.paul.id}/break-glass", {"reason": "Unconscious"}, expect=201)
    for path in READS:
        person = clinic.amara if path in OF_ADMINS else clinic.dora
        exact = path.replace("{id}", ids.get(path.strip("/").split("/")[0], ""))
        count, answer = counter.statements_of(person, "GET", exact)
        assert answer.status_code == 200, path
        assert count <= 1, path


def test_record_is_opened_and_read_and_reviewed_by_one_statement_each(counter: Counter) -> None:
    clinic = counter.clinic
    consultation = held_consultation(clinic)
    prescription = clinic.dora.prescribes(consultation, expect=201).json()
    path, reason = f"/patients/{clinic.paul.id}/break-glass", {"reason": "Unconscious"}
    count, answer = counter.statements_of(clinic.dev, "POST", path, json=reason)
    assert (answer.status_code, count) == (201, 1)
    for path in (f"/consultations/{consultation['id']}", f"/prescriptions/{prescription['id']}"):
        count, read = counter.statements_of(clinic.dev, "GET", path)
        assert (read.status_code, count) == (200, 1)
    path = f"/break-glass/{answer.json()['id']}/review"
    count, reviewed = counter.statements_of(clinic.amara, "POST", path, json={})
    assert (reviewed.status_code, count) == (200, 1)


def test_refused_token_costs_no_statement(counter: Counter) -> None:
    stranger = Person(counter.clinic, email="nobody@clinic.test")
    stranger.token = "nonsense"
    assert counter.statements_of(stranger, "GET", "/consultations/my")[0] == 0
