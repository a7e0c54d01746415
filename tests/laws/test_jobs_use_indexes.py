"""What a job costs depends on what there is to do, not on how much is kept: PostgreSQL's plans on big tables."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from app.audit.seals import sql as seals
from app.booking import sql as booking
from app.db import asker, embedded, turns
from app.db.statement import Statement
from app.identity.revocations import sql as revocations
from app.identity.sessions import sql as sessions
from app.outbox import sql as outbox
from app.prescription import sql as prescription
from tests.conftest import cloned

ROWS = 20_000
# Kept for ever: refused keys, years old. Kept for now: those of this week. To go: what a busy hour leaves.
FILL = f"""
SET session_replication_role = replica;
INSERT INTO idempotency_keys (clinic_id, user_id, operation, key, fingerprint, created_at, outcome)
SELECT 1, gen_random_uuid(), operation, kind || number, 'x', now() - age,
    CASE kind WHEN 'refused' THEN '{{}}'::jsonb END
FROM generate_series(1, {ROWS}) AS number, unnest('{{book_slot,issue_prescription}}'::text[]) AS operation,
    (VALUES ('refused', interval '700 days'), ('kept', interval '3 days'), ('old', interval '8 days')) AS k (kind, age)
WHERE kind <> 'old' OR number <= 1000;
INSERT INTO consultations (clinic_id, id, slot_id, doctor_id, patient_id, starts_at, ends_at, idempotency_key)
SELECT 1, gen_random_uuid(), row_number() OVER (), user_id, user_id, now(), now() + interval '1 hour', key
FROM idempotency_keys WHERE operation = 'book_slot' AND outcome IS NULL;
INSERT INTO prescriptions (clinic_id, id, consultation_id, doctor_id, patient_id, items, idempotency_key)
SELECT 1, gen_random_uuid(), gen_random_uuid(), user_id, user_id, '[]', key
FROM idempotency_keys WHERE operation = 'issue_prescription' AND outcome IS NULL;
INSERT INTO sessions (clinic_id, id, user_id)
SELECT 1, gen_random_uuid(), gen_random_uuid() FROM generate_series(1, {ROWS});
INSERT INTO refresh_tokens (clinic_id, token_hash, session_id, expires_at)
SELECT 1, sha256(id::text::bytea), id,
    now() + CASE WHEN row_number() OVER () <= 1000 THEN -1 ELSE 1 END * interval '9 days'
FROM sessions;
INSERT INTO revocations (clinic_id, id, session_id, created_at)
SELECT 1, id, id, now() - CASE WHEN row_number() OVER () <= 100 THEN interval '9 days' ELSE interval '1 minute' END
FROM sessions;
-- What nobody delivers, what was delivered, and what a mail server that was away for hours has left.
INSERT INTO outbox (clinic_id, id, topic, entity_id, due_at, published_at)
SELECT 1, gen_random_uuid(), topic, 'x', due_at, published_at
FROM generate_series(1, {ROWS}) AS number,
    (VALUES ('consultation.booked', NULL, NULL), ('link.made', now(), now()), ('link.made', now(), NULL))
        AS k (topic, due_at, published_at)
WHERE topic <> 'link.made' OR published_at IS NOT NULL OR number <= 1000;
-- Two days of the log, all but the last minutes sealed; a quiet clinic, and one that nobody has sealed yet.
INSERT INTO audit_logs (clinic_id, id, occurred_at, action, entity_type, outcome, request_id)
SELECT clinic_id, gen_random_uuid(), timestamptz '2026-01-20Z' + number * interval '1 minute', 'x', 'x', 'success', 'x'
FROM generate_series(1, {ROWS}) AS number, generate_series(1, 3) AS clinic_id;
INSERT INTO clinics (clinic_id, slug) VALUES (2, 'quiet'), (3, 'new');
INSERT INTO audit_seals
SELECT clinic_id, number, 10, last_at - interval '9 minutes', gen_random_uuid(), last_at, gen_random_uuid(), '', '',
    last_at, NULL, 'x', ''
FROM generate_series(1, 2) AS clinic_id, generate_series(1, {ROWS} / 10 - 60) AS number,
    LATERAL (SELECT timestamptz '2026-01-20Z' + number * interval '10 minutes' AS last_at) AS l;
ANALYZE;
"""
STATEMENTS: list[tuple[Statement[Any], dict[str, object]]] = [
    (booking.FORGET_KEYS, {"rows": turns.BATCH_ROWS}),
    (prescription.FORGET_KEYS, {"rows": turns.BATCH_ROWS}),
    (sessions.FORGET_EXPIRED, {"rows": turns.BATCH_ROWS}),
    (revocations.FORGET_OLDER, {"age": timedelta(days=1)}),
]


@pytest.fixture(scope="module")
def full(postgres: embedded.Attachment) -> Iterator[psycopg.Connection[Any]]:
    """A database in which much has happened."""
    name = f"big_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    with cloned(postgres, name), psycopg.connect(postgres.url("postgres", name), autocommit=True) as connection:
        connection.execute(FILL.encode())
        yield connection


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def explained(
    connection: psycopg.Connection[Any],
    statement: Statement[Any],
    values: dict[str, object],
    *,
    in_turn: bool = False,
    first: str = "",
) -> list[dict[str, Any]]:
    """The plan's nodes, executed as the application executes it: row-level security keeps conditions from indexes.

    What is done in a job's turn has the limits of one, which keep PostgreSQL from scans and joins of whole tables.
    """
    with connection.transaction(force_rollback=True):
        if first:
            connection.execute(first.encode())
        connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        connection.execute("SET LOCAL ROLE telemed_app")
        connection.execute(asker.TELL.text.encode(), asker.TELL.bind(asker.SYSTEM.values()))
        if in_turn:
            connection.execute(turns.TAKE_TURN.text.encode(), turns.TAKE_TURN.bind({}))
        explain = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement.text}".encode()
        row = connection.execute(explain, statement.bind(values), prepare=True).fetchone()
    assert row is not None
    return [*nodes(row[0][0]["Plan"])]


def read(node: dict[str, Any]) -> float:
    """How many rows a node has looked at."""
    return (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda case: case[0].name)
def test_job_scans_no_table(full: psycopg.Connection[Any], statement: tuple[Statement[Any], dict[str, object]]) -> None:
    query, values = statement
    seen = explained(full, query, values, in_turn=True)
    assert any(node["Actual Rows"] == values.get("rows", 100) for node in seen), "there was a batch to do"
    scans = {f"{node['Node Type']} on {node['Relation Name']}": read(node) for node in seen if "Relation Name" in node}
    assert not [scan for scan in scans if scan.startswith("Seq")], scans
    # 2,000 expired keys of both operations may be looked at for a batch of 500, but not one of the 20,000 kept ones.
    assert max(scans.values()) <= 2_000, scans


def test_postman_reads_what_he_takes(full: psycopg.Connection[Any]) -> None:
    """Every two seconds, in every process, and without a job's limits."""
    seen = explained(full, outbox.CLAIM_DUE, {"topics": ["link.made"]})
    assert any(node["Actual Rows"] == outbox.CLAIMED_MAX for node in seen), "there was a batch to take"
    scans = {f"{node['Node Type']} on {node['Relation Name']}": read(node) for node in seen if "Relation Name" in node}
    assert max(scans.values()) <= outbox.CLAIMED_MAX, scans


@pytest.mark.parametrize("statement", STATEMENTS[:2], ids=lambda case: case[0].name)
def test_refused_keys_cost_nothing(
    full: psycopg.Connection[Any], statement: tuple[Statement[Any], dict[str, object]]
) -> None:
    """With nothing to do, a round looks at no key, however many stay for ever."""
    query, values = statement
    old = "DELETE FROM idempotency_keys WHERE key LIKE 'old%'"
    seen = explained(full, query, values, in_turn=True, first=old)
    scans = {node["Node Type"]: read(node) for node in seen if "Relation Name" in node}
    assert sum(scans.values()) == 0, scans


AFTER = {"clinic_id": 1, "after_at": datetime(2026, 1, 30, tzinfo=UTC), "after_id": UUID(int=0), "rows": 500}
LAST = {"last_at": datetime(2026, 1, 30, 8, tzinfo=UTC), "last_id": UUID(int=0)}
LOOKED_AT: list[tuple[Statement[Any], dict[str, object]]] = [
    (seals.CLINICS_BEHIND, {"cut": datetime(2027, 1, 1, tzinfo=UTC)}),
    (seals.NEWEST, {"clinic_id": 1}),
    (seals.SEALS, {"clinic_id": 1, "after": 700, "rows": 100}),
    (seals.ROWS_TO_SEAL, {**AFTER, "cut": datetime(2027, 1, 1, tzinfo=UTC)}),
    (seals.ROWS_OF_SEAL, {**AFTER, **LAST}),
    (seals.ROWS_OF_FIRST_SEAL, {"clinic_id": 1, "rows": 11, **LAST}),
]


@pytest.mark.parametrize("statement", LOOKED_AT, ids=lambda case: case[0].name)
def test_sealing_and_checking_read_what_they_seal(
    full: psycopg.Connection[Any], statement: tuple[Statement[Any], dict[str, object]]
) -> None:
    """Twice a minute in every process, and for the whole log: whatever the months and clinics."""
    query, values = statement
    scans = {
        f"{node['Node Type']} on {node['Relation Name']}": read(node)
        for node in explained(full, query, values)
        if "Relation Name" in node and node["Relation Name"] != "clinics"
    }
    assert max(scans.values()) <= 501, scans
