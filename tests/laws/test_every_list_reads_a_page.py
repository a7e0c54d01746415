"""Every list, under any of its filters, reads about what it answers: no scan or sort of a table that grows.

Executed in a clinic of 30,000 slots, with the values for which a missing index costs most (what is rare, what is not
there, the end of the list), under the generic plan and the custom one.
"""

import itertools
import os
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from app.audit.sql import audit_rows
from app.availability.sql import slots_of_clinic
from app.breakglass.sql import grants_of_clinic
from app.consultation.sql import consultations_of_clinic, consultations_of_patient, consultations_of_person
from app.db import asker, embedded
from app.db.asker import Asker
from app.db.statement import Statement
from app.identity.users.sql import active_doctors, users_of_clinic, users_shown
from app.oversight.sql import accesses_to
from app.prescription.sql import prescriptions_by, prescriptions_of, prescriptions_of_patient
from tests.conftest import cloned
from tests.laws.catalog import modules

GROWING = re.compile("users|availability_slots|consultations|prescriptions|break_glass_grants|audit_logs.*")
PAGE = 51
# A page, the people looked up for each of its rows, and a third of it passed over.
ROWS_MAX, SORTED_MAX, BLOCKS_MAX = 500, 200, 500
MODES = ("force_generic_plan", "force_custom_plan")

NOW = datetime.now(UTC).replace(microsecond=0)
LAST_ID = uuid.UUID(int=2**128 - 1)
DOCTOR, PATIENT = uuid.UUID(int=500), uuid.UUID(int=2_500)
# As whom the application asks: row-level security keeps conditions from indexes.
ADMIN = Asker("admin", "7", frozenset({str(DOCTOR), str(PATIENT)}))
# Who reads other people's records, and what the audit rows of a page are made of.
_READER = {"actor_id": DOCTOR, "request_id": "law"}
SHOWN = _READER | {"actor_role": "admin", "details": {}, "audit_ids": [uuid.uuid4() for _ in range(PAGE)]}
OPENED = _READER | {"actor_role": "doctor", "audit_id": LAST_ID}

# Ids are numbers: doctors 1 to 1,000 of which every tenth has left, patients 1,001 to 6,000, and an admin.
TOWN = """
INSERT INTO clinics (clinic_id, slug) VALUES (7, 'town');
INSERT INTO users (clinic_id, id, email, email_normalized, password_hash, full_name, role, specialty, is_active)
SELECT 7, lpad(to_hex(n), 32, '0')::uuid, n, n, '', 'Somebody ' || md5(n::text), role,
    CASE WHEN role = 'doctor' THEN CASE WHEN n = 500 THEN 'Rare' ELSE 'Common' END END,
    CASE role WHEN 'doctor' THEN n % 10 <> 0 ELSE n % 50 <> 0 END
FROM generate_series(1, 6001) AS n
CROSS JOIN LATERAL
    (SELECT CASE WHEN n <= 1000 THEN 'doctor' WHEN n <= 6000 THEN 'patient' ELSE 'admin' END) AS r (role);

INSERT INTO availability_slots (clinic_id, doctor_id, starts_at, ends_at, status)
SELECT 7, lpad(to_hex(n), 32, '0')::uuid, at, at + interval '30 minutes',
    CASE WHEN (n + day) % 20 = 0 THEN 'withdrawn' WHEN (n + day) % 2 = 0 THEN 'booked' ELSE 'open' END
FROM generate_series(1, 1000) AS n CROSS JOIN generate_series(-10, 19) AS day
CROSS JOIN LATERAL (SELECT now() + day * interval '1 day' + n * interval '1 second') AS s (at);

INSERT INTO consultations (clinic_id, id, slot_id, doctor_id, patient_id, starts_at, ends_at, idempotency_key, status,
    completed_at, cancelled_at)
SELECT 7, lpad(to_hex(100000 + id), 32, '0')::uuid, id, doctor_id, lpad(to_hex(1001 + id % 5000), 32, '0')::uuid,
    starts_at, ends_at, id::text, s.status, CASE s.status WHEN 'completed' THEN now() END,
    CASE s.status WHEN 'cancelled' THEN now() END
FROM availability_slots AS slots
CROSS JOIN LATERAL (SELECT CASE WHEN slots.status = 'open' THEN 'cancelled' WHEN starts_at < now() THEN 'completed'
                                ELSE 'scheduled' END) AS s (status)
WHERE clinic_id = 7 AND (slots.status = 'booked' OR slots.status = 'open' AND id % 20 = 0);

INSERT INTO prescriptions (clinic_id, id, consultation_id, doctor_id, patient_id, items, idempotency_key)
SELECT clinic_id, id, id, doctor_id, patient_id, '[]', id::text FROM consultations WHERE status = 'completed';

INSERT INTO audit_logs (clinic_id, id, occurred_at, actor_id, actor_role, action, entity_type, entity_id, outcome,
    request_id, subject_id)
SELECT 7, gen_random_uuid(), now() - n * interval '1 minute', lpad(to_hex(1 + n % 6000), 32, '0')::uuid, 'doctor',
    entity || '.done', entity, n, 'success', 'law',
    CASE WHEN n % 2 = 0 THEN lpad(to_hex(CASE WHEN n % 200 = 0 THEN 2500 ELSE n % 5000 END), 32, '0')::uuid END
FROM generate_series(1, 20000) AS n
CROSS JOIN LATERAL (SELECT CASE WHEN n % 1000 = 999 THEN 'prescription'
                                ELSE ('{slot,consultation,user,session}'::text[])[1 + n % 4] END) AS e (entity);

-- The doctor of the tests has opened the patient's record, long ago and now; the oldest and newest wait for a review.
INSERT INTO break_glass_grants (clinic_id, id, doctor_id, patient_id, reason, granted_at, expires_at, reviewed_at,
    reviewed_by)
SELECT 7, lpad(to_hex(n), 32, '0')::uuid, lpad(to_hex(1 + n % 1000), 32, '0')::uuid,
    lpad(to_hex(CASE WHEN n % 1000 = 499 THEN 2500 ELSE 1001 + n % 5000 END), 32, '0')::uuid, 'because', at,
    at + interval '1 hour', CASE WHEN n BETWEEN 2000 AND 9900 THEN at END,
    CASE WHEN n BETWEEN 2000 AND 9900 THEN lpad('1771', 32, '0')::uuid END
FROM generate_series(1, 10000) AS n
CROSS JOIN LATERAL (SELECT now() - (10000 - n) * interval '1 second' - interval '10 minutes') AS a (at);
ANALYZE;
"""


@pytest.fixture(scope="module")
def town(postgres: embedded.Attachment) -> Iterator[psycopg.Connection]:
    """The owner's connection to a database with one large clinic in it."""
    name = f"town_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    with cloned(postgres, name) as url, psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
        connection.execute(TOWN)
        yield connection


def _given_in_every_way(values: dict[str, object]) -> Iterator[dict[str, object]]:
    """The values without and with each of them."""
    for names in itertools.product(*((None, name) for name in values)):
        yield {name: values[name] for name in names if name}


def _slots() -> Iterator[tuple[Statement[Any], dict[str, object]]]:
    where = {"doctor_id": DOCTOR, "after_at": NOW + timedelta(days=15)}
    for status, given, days in itertools.product(("open", "booked"), _given_in_every_way(where), (0, 1000)):
        begin = NOW + timedelta(days=days)
        window = {"begin": begin, "end": begin + timedelta(days=92)}
        position = {"after_id": 1} if "after_at" in given else {}
        yield slots_of_clinic(frozenset(given) | {status}), given | position | window


def _consultations() -> Iterator[tuple[Statement[Any], dict[str, object]]]:
    where = {"from_": NOW - timedelta(days=5), "to": NOW + timedelta(days=1), "before_at": NOW - timedelta(days=2)}
    people = [{}, {"doctor_id": DOCTOR}, {"patient_id": PATIENT}, {"doctor_id": DOCTOR, "patient_id": PATIENT}]
    statuses = [{}, {"status": "scheduled"}, {"status": "completed"}, {"status": "cancelled"}]
    for person, status, given in itertools.product(people, statuses, _given_in_every_way(where)):
        values = person | status | given
        position = {"before_id": LAST_ID} if "before_at" in values else {}
        yield consultations_of_clinic(frozenset(values)), values | position | SHOWN
        if person.keys() == {"patient_id"}:
            yield consultations_of_patient(frozenset(values)), values | position | OPENED
        if len(person) == 1:
            yield consultations_of_person(frozenset(values)), values | position


def _people() -> Iterator[tuple[Statement[Any], dict[str, object]]]:
    for role, activity in itertools.product((None, "admin", "doctor", "patient"), (None, "active", "inactive")):
        for given in _given_in_every_way({"email": "4711", "after_id": uuid.UUID(int=3_000)}):
            values = given | ({"role": role} if role else {})
            names = frozenset(values) | ({activity} if activity else frozenset())
            yield users_of_clinic(names), values
            yield users_shown(names), values | SHOWN
    part = {"after_name": "Somebody c"}
    for q in ({}, {"q": "f00"}, {"q": "nobody"}, {"short_q": "e"}):
        for given in _given_in_every_way(part | {"specialty": "rare"}):
            values = q | given
            position = {"after_id": LAST_ID} if "after_name" in values else {}
            yield active_doctors(frozenset(values)), values | position


def _papers() -> Iterator[tuple[Statement[Any], dict[str, object]]]:
    doctor, patient = {"doctor_id": DOCTOR}, {"patient_id": PATIENT}
    for given in _given_in_every_way({"before_id": uuid.UUID(int=110_000)}):
        yield prescriptions_of(frozenset(patient | given)), patient | given
        yield prescriptions_of_patient(frozenset(patient | given)), patient | given | OPENED
        yield prescriptions_by(frozenset(doctor | given)), doctor | given | SHOWN


def _grants() -> Iterator[tuple[Statement[Any], dict[str, object]]]:
    for review, given in itertools.product(
        (set(), {"reviewed"}, {"unreviewed"}), _given_in_every_way({"after_id": uuid.UUID(int=5_000)})
    ):
        yield grants_of_clinic(frozenset(review | given.keys())), given | SHOWN


def _trail() -> Iterator[tuple[Statement[Any], dict[str, object]]]:
    filters = {
        "actor_id": PATIENT, "action": "prescription.done", "entity_type": "prescription", "entity_id": "999",
        "from_": NOW - timedelta(days=12), "to": NOW - timedelta(days=1), "before_at": NOW - timedelta(days=10),
    }  # fmt: skip
    for values in _given_in_every_way(filters):
        position = {"before_id": LAST_ID} if "before_at" in values else {}
        yield audit_rows(frozenset(values)), values | position
    window = {name: value for name, value in filters.items() if name in ("from_", "to", "before_at")}
    for values, subject in itertools.product(_given_in_every_way(window), (PATIENT, DOCTOR, LAST_ID)):
        position = {"before_id": LAST_ID} if "before_at" in values else {}
        yield accesses_to(frozenset(values)), values | position | {"subject_id": subject}


LISTS = {
    "slots": _slots,
    "consultations": _consultations,
    "people": _people,
    "papers": _papers,
    "grants": _grants,
    "trail": _trail,
}


@pytest.mark.parametrize("name", LISTS)
def test_list_reads_about_what_it_answers(town: psycopg.Connection, name: str) -> None:
    _sweep(town)
    assert [*_wrong(town, name)] == []


@pytest.mark.parametrize(
    ("index", "name"),
    [
        ("ix_availability_slots_clinic_id_starts_at_id_open", "slots"),
        ("ix_availability_slots_clinic_id_starts_at_id_booked", "slots"),
        ("ix_consultations_clinic_id_status_starts_at_id", "consultations"),
        ("ix_users_clinic_id_id_inactive", "people"),
        ("ix_users_clinic_id_specialty_full_name_id_doctor", "people"),
        ("ix_users_clinic_id_name_parts_doctor", "people"),
        ("ix_audit_logs_clinic_id_action_occurred_at_id", "trail"),
        ("ix_audit_logs_clinic_id_entity_type_occurred_at_id", "trail"),
        ("ix_audit_logs_clinic_id_subject_id_occurred_at_id", "trail"),
        ("ix_break_glass_grants_clinic_id_id_unreviewed", "grants"),
        ("ix_break_glass_grants_clinic_id_id_reviewed", "grants"),
    ],
)
def test_without_its_index_a_list_reads_more(town: psycopg.Connection, index: str, name: str) -> None:
    _sweep(town)
    with town.transaction(force_rollback=True):
        town.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(index)))
        assert next(_wrong(town, name), None)


STATEMENTS = [
    pytest.param(value, id=f"{module.__name__}.{name}")
    for module in modules("sql")
    for name, value in vars(module).items()
    if isinstance(value, Statement)
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_other_statements_scan_no_table_that_grows(town: psycopg.Connection, statement: Statement[Any]) -> None:
    nothing = dict.fromkeys(statement.parameters | statement.defaults.keys())
    plan = _explained(town, statement, nothing, "force_generic_plan", "(FORMAT JSON)")
    assert [*_scans(plan)] == []


def _sweep(town: psycopg.Connection) -> None:
    """Lists of other people's records write audit rows, which were rolled back here and would be in the way."""
    town.execute("VACUUM audit_logs")


def _wrong(town: psycopg.Connection, name: str) -> Iterator[tuple[object, ...]]:
    for statement, values in LISTS[name]():
        bound = _bound(statement, {**values, "clinic_id": 7, "rows": PAGE})
        for mode in MODES:
            plan = _explained(town, statement, bound, mode, "(ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON)")
            if faults := [*_faults(plan)]:
                yield statement.name, sorted(values), mode, faults


def _bound(statement: Statement[Any], values: dict[str, object]) -> dict[str, Any]:
    if statement.together:
        values = {name: one if name in statement.together.alike_by else [one] for name, one in values.items()}
    return statement.bind(values)


def _explained(
    connection: psycopg.Connection, statement: Statement[Any], values: dict[str, Any], mode: str, options: str
) -> dict[str, Any]:
    numbers: dict[str, int] = {}
    text = re.sub(r"%\((\w+)\)s", lambda match: f"${numbers.setdefault(match[1], len(numbers) + 1)}", statement.text)
    # The driver says of a timedelta that it is an interval; PostgreSQL alone cannot know.
    text = re.sub(r"now\(\) - (\$\d+)", r"now() - \1::interval", text).replace("%%", "%")
    arguments = sql.SQL(", ").join(sql.Literal(values[name]) for name in numbers)
    connection.execute("DEALLOCATE ALL")
    prepared = connection.pgconn.exec_(f"PREPARE law AS {text}".encode())
    assert not prepared.error_message, prepared.error_message.decode()
    call = sql.SQL("EXECUTE law ({})").format(arguments) if numbers else sql.SQL("EXECUTE law")
    with connection.transaction(force_rollback=True):
        connection.execute(sql.SQL("SET LOCAL plan_cache_mode = {}").format(sql.SQL(mode)))
        connection.execute("SET LOCAL ROLE telemed_app")
        connection.execute(asker.TELL.text.encode(), asker.TELL.bind(ADMIN.values()))
        row = connection.execute(sql.SQL("EXPLAIN {} {}").format(sql.SQL(options), call)).fetchone()
    assert row is not None
    return dict(row[0][0]["Plan"])


def _faults(plan: dict[str, Any]) -> Iterator[str]:
    yield from _scans(plan)
    blocks = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    if blocks > BLOCKS_MAX:
        yield f"{blocks} blocks"
    for node in _nodes(plan):
        if "Scan" in node["Node Type"] and _rows_read(node) > ROWS_MAX:
            yield f"{node['Node Type']} of {_rows_read(node)} rows"
        if "Sort" in node["Node Type"] and node["Plans"][0]["Actual Rows"] > SORTED_MAX:
            yield f"sort of {node['Plans'][0]['Actual Rows']} rows"


def _scans(plan: dict[str, Any]) -> Iterator[str]:
    for node in _nodes(plan):
        # An empty month of the audit log is read whole because that is quickest.
        is_empty = "Actual Rows" in node and not _rows_read(node)
        if node["Node Type"] == "Seq Scan" and GROWING.fullmatch(node["Relation Name"]) and not is_empty:
            yield f"scan of {node['Relation Name']}"


def _rows_read(node: dict[str, Any]) -> float:
    removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return float((node["Actual Rows"] + removed) * node["Actual Loops"])


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
