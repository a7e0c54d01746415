"""Fills a fresh server with a town, by COPY.

Foreign keys and the exclusion constraints are not checked row by row while loading (16 µs a slot), which only a
superuser on a throw-away server can ask for; `check` asks afterwards whether what was loaded holds them.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

import psycopg

from app.bench import town as towns
from app.bench.town import CLINIC_ID, SLOT_LENGTH, SLOTS_OF_DOCTOR, Held, Town
from app.encryption.rules import PRESCRIPTION, KeyRing, Writing

Progress = Callable[[str, int, int], None]
_Connection = psycopg.Connection[tuple[object, ...]]

# One in five of those held ended with a prescription.
PRESCRIBED_EVERY = 5
_MARK = "\\N"
_DOCTOR = "(doctor)"
_DEFERRED = "availability_slots", "consultations", "prescriptions", "idempotency_keys", "users"
# As the application writes them: with every field, and sealed.
_ITEMS = (
    '[{"medication": "Amoxicillin", "dosage": "500 mg", "frequency": "3 times a day", "duration_days": 7, '
    '"instructions": null}]'
)


class BrokenTown(Exception):
    """What was measured or loaded is not what the constraints promise."""


def load(url: str, town: Town, *, password_hash: str, ring: KeyRing, progress: Progress) -> float:
    """Fill the migrated, empty database that `url` names as a superuser; says in how many seconds.

    Two million slots take about 25 s. The slots are one connection's work and everything else another's: PostgreSQL
    has a process for each.
    """
    began, now = time.monotonic(), datetime.now(UTC)
    held = [town.held(number) for number in range(town.past + town.scheduled)]
    sealed = [
        _Sealed(one, ring.seal(Writing(PRESCRIPTION, CLINIC_ID, towns.consultation_id(one.number)), items=_ITEMS))
        for one in held
        if one.status == "completed" and one.number % PRESCRIBED_EVERY == 1
    ]
    taken = {(one.doctor, one.position) for one in held if one.status != "cancelled"}
    slots = [_Table("availability_slots", _SLOTS, _slots(town, taken), town.doctors * SLOTS_OF_DOCTOR, 25)]
    others = [
        _Table("users", _USERS, _users(town, password_hash), town.doctors + town.patients + 1),
        _Table("consultations", _CONSULTATIONS, _consultations(town, held, now), len(held)),
        _Table("prescriptions", _PRESCRIPTIONS, _prescriptions(sealed, now), len(sealed)),
        _Table("data_keys", _DATA_KEYS, _data_keys(sealed), len(sealed)),
        _Table("idempotency_keys", _KEYS, _keys(held, now), len(held)),
        _Table("audit_logs", _AUDIT, _audit(held, now), len(held)),
        _Table("outbox", _OUTBOX, _outbox(held, now), len(held)),
    ]
    with ThreadPoolExecutor() as threads:
        for done in [threads.submit(_fill, url, tables, progress) for tables in (slots, others)]:
            done.result()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT setval('availability_slots_id_seq', %s)", [town.doctors * SLOTS_OF_DOCTOR])
        connection.execute("CHECKPOINT")
    return time.monotonic() - began


@dataclass(frozen=True, slots=True)
class _Sealed:
    """What was prescribed after a consultation, and its key."""

    held: Held
    values: dict[str, bytes | None]

    def copied(self, name: str) -> str:
        """As COPY reads a `bytea`."""
        value = self.values[name]
        assert value is not None, "there is something to seal"
        return f"\\\\x{value.hex()}"


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    columns: str
    # Each of one line, or of several.
    rows: Iterable[str]
    count: int
    # Handed over together, so that neither side waits for the other for long.
    strings_a_piece: int = 10_000


def _fill(url: str, tables: list[_Table], progress: Progress) -> None:
    deferred = [table.name for table in tables if table.name in _DEFERRED]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("SET maintenance_work_mem = '1GB'")
        connection.execute("SET synchronous_commit = off")
        _set_indexes(connection, deferred, are_ready=False)
        for table in tables:
            _copy(connection, table, progress)
        _set_indexes(connection, deferred, are_ready=True)
        for done, table in enumerate(tables):
            progress(f"{table.name}: indexes", done, len(tables))
            # A rewrite of the table builds all its indexes, and trusts what they promise.
            how = "FULL, ANALYZE" if table.name in deferred else "ANALYZE"
            connection.execute(f"VACUUM ({how}) {table.name}")
        # A rewritten table's visibility map is made by a second, quick pass: index-only scans need it.
        for name in deferred:
            connection.execute(f"VACUUM {name}")
        progress("indexes", len(tables), len(tables))


def doubles(url: str) -> int:
    """How often the tables break what their constraints promise, those included that were not checked."""
    with psycopg.connect(url, autocommit=True) as connection:
        answers = [connection.execute(question).fetchone() for question in _DOUBLES]
    return sum(int(str(row[0])) for row in answers if row is not None)


def check(url: str) -> None:
    """Hold what was loaded against the constraints that were not checked. Raises `BrokenTown`."""
    if found := doubles(url):
        raise BrokenTown(f"{found} rows break what the constraints promise")


# What the constraints promise, asked by a sort instead of 2 million look-ups.
_DOUBLES = (
    """SELECT count(*) FROM (
         SELECT starts_at < lag(ends_at) OVER (PARTITION BY clinic_id, doctor_id ORDER BY starts_at) AS is_double
         FROM availability_slots WHERE status <> 'withdrawn') AS neighbours WHERE is_double""",
    """SELECT count(*) FROM (
         SELECT starts_at < lag(ends_at) OVER (PARTITION BY clinic_id, patient_id ORDER BY starts_at) AS is_double
         FROM consultations WHERE status = 'scheduled') AS neighbours WHERE is_double""",
    """SELECT count(*) FROM consultations AS c
         LEFT JOIN availability_slots AS s ON s.clinic_id = c.clinic_id AND s.id = c.slot_id
         WHERE c.status <> 'cancelled' AND s.status IS DISTINCT FROM 'booked'""",
    """SELECT count(*) FROM (
         SELECT FROM consultations WHERE status <> 'cancelled'
         GROUP BY clinic_id, slot_id HAVING count(*) > 1) AS doubles""",
)


def _copy(connection: _Connection, table: _Table, progress: Progress) -> None:
    written = 0
    with connection.cursor() as cursor, cursor.copy(f"COPY {table.name} ({table.columns}) FROM STDIN") as copy:
        rows = iter(table.rows)
        while piece := "".join(islice(rows, table.strings_a_piece)):
            copy.write(piece)
            written += piece.count("\n")
            progress(table.name, min(written, table.count), table.count)
    progress(table.name, table.count, table.count)


def _set_indexes(connection: _Connection, tables: list[str], *, are_ready: bool) -> None:
    connection.execute(
        "UPDATE pg_index SET indisready = %s, indisvalid = %s WHERE indrelid = ANY(%s::regclass[])",
        (are_ready, are_ready, tables),
    )


_USERS = "clinic_id, id, email, email_normalized, password_hash, full_name, role, specialty"
_SLOTS = "clinic_id, id, doctor_id, starts_at, ends_at, status"
_CONSULTATIONS = (
    "clinic_id, id, slot_id, doctor_id, patient_id, starts_at, ends_at, status, idempotency_key, created_at, "
    "completed_at, cancelled_at"
)
_PRESCRIPTIONS = "clinic_id, id, consultation_id, doctor_id, patient_id, items, idempotency_key, created_at"
_DATA_KEYS = "clinic_id, record_id, part, patient_id, wrapped"
_KEYS = "clinic_id, user_id, operation, key, fingerprint, created_at"
_AUDIT = (
    "clinic_id, id, occurred_at, actor_id, actor_role, action, entity_type, entity_id, outcome, request_id, details"
)
_OUTBOX = "clinic_id, id, topic, entity_id, created_at, published_at"


def _users(town: Town, password_hash: str) -> Iterator[str]:
    def row(id_: object, email: str, name: str, role: str, specialty: str = _MARK) -> str:
        return f"{CLINIC_ID}\t{id_}\t{email}\t{email}\t{password_hash}\t{name}\t{role}\t{specialty}\n"

    yield row(towns.ADMIN_ID, "admin@bench.example", "Ada Admin", "admin")
    for number in range(town.doctors):
        specialty = towns.SPECIALTIES[number % len(towns.SPECIALTIES)]
        yield row(towns.doctor_id(number), f"doctor{number}@bench.example", _name("Dr. ", number), "doctor", specialty)
    for number in range(town.patients):
        yield row(towns.patient_id(number), email_of_patient(number), _name("", number), "patient")


_FIRST = "Anna Ben Chloe Dev Emil Fatima Goran Hana Ines Jonas Kira Lars Mina Noor Olga Pavel Rosa Sami Tara Yusuf"
_LAST = "Abe Berg Costa Diaz Evans Fischer Garcia Haddad Ito Jansen Kaya Lopez Meyer Novak Okoye Petrov Rossi Silva"


def _name(title: str, number: int) -> str:
    first, last = _FIRST.split(), _LAST.split()
    return f"{title}{first[number % len(first)]} {last[number // len(first) % len(last)]} {number}"


def email_of_patient(number: int) -> str:
    """Where a patient is written to."""
    return f"patient{number}@bench.example"


def _slots(town: Town, taken: set[tuple[int, int]]) -> Iterator[str]:
    """A doctor's slots at a time, all by one formatting: five times as fast as row by row."""
    pattern = "".join(
        f"{CLINIC_ID}\t%d\t{_DOCTOR}\t{town.starts_at(position).isoformat()}"
        f"\t{(town.starts_at(position) + SLOT_LENGTH).isoformat()}\t%s\n"
        for position in range(SLOTS_OF_DOCTOR)
    )
    for doctor in range(town.doctors):
        first = towns.slot_id(doctor, 0)
        values: list[object] = []
        for position in range(SLOTS_OF_DOCTOR):
            values += first + position, "booked" if (doctor, position) in taken else "open"
        yield pattern.replace(_DOCTOR, str(towns.doctor_id(doctor))) % tuple(values)


def _consultations(town: Town, held: list[Held], now: datetime) -> Iterator[str]:
    booked_at = (now - timedelta(days=20)).isoformat()
    for one in held:
        begins = town.starts_at(one.position)
        ends = (begins + SLOT_LENGTH).isoformat()
        completed = ends if one.status == "completed" else _MARK
        cancelled = booked_at if one.status == "cancelled" else _MARK
        yield (
            f"{CLINIC_ID}\t{towns.consultation_id(one.number)}\t{towns.slot_id(one.doctor, one.position)}"
            f"\t{towns.doctor_id(one.doctor)}\t{towns.patient_id(one.patient)}\t{begins.isoformat()}\t{ends}"
            f"\t{one.status}\tloaded-{one.number}\t{booked_at}\t{completed}\t{cancelled}\n"
        )


def _prescriptions(sealed: list[_Sealed], now: datetime) -> Iterator[str]:
    written_at = now.isoformat()
    for text in sealed:
        one, id_ = text.held, towns.consultation_id(text.held.number)
        yield (
            f"{CLINIC_ID}\t{id_}\t{id_}\t{towns.doctor_id(one.doctor)}\t{towns.patient_id(one.patient)}"
            f"\t{text.copied('items')}\tloaded-{one.number}\t{written_at}\n"
        )


def _data_keys(sealed: list[_Sealed]) -> Iterator[str]:
    for text in sealed:
        id_, patient_id = towns.consultation_id(text.held.number), towns.patient_id(text.held.patient)
        yield f"{CLINIC_ID}\t{id_}\t{PRESCRIPTION}\t{patient_id}\t{text.copied('data_key')}\n"


def _keys(held: list[Held], now: datetime) -> Iterator[str]:
    fingerprint = "\\\\x" + "00" * 32
    for one in held:
        if one.status == "scheduled":
            yield (
                f"{CLINIC_ID}\t{towns.patient_id(one.patient)}\tbook_slot\tloaded-{one.number}\t{fingerprint}"
                f"\t{now.isoformat()}\n"
            )


def _audit(held: list[Held], now: datetime) -> Iterator[str]:
    for one in held:
        id_ = towns.consultation_id(one.number)
        yield (
            f"{CLINIC_ID}\t{id_}\t{now.isoformat()}\t{towns.patient_id(one.patient)}\tpatient\tconsultation.booked"
            f'\tconsultation\t{id_}\tsuccess\tloaded-{one.number}\t{{"slot_id": {one.position}}}\n'
        )


def _outbox(held: list[Held], now: datetime) -> Iterator[str]:
    for one in held:
        id_ = towns.consultation_id(one.number)
        yield f"{CLINIC_ID}\t{id_}\tconsultation.booked\t{id_}\t{now.isoformat()}\t{now.isoformat()}\n"
