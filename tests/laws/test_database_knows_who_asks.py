"""Row-level security: with every check in Python taken out, PostgreSQL still refuses (docs/decisions/0015)."""

import psycopg
import pytest

from app.identity import guard
from tests.authz.alone import forbidden_cells, gets_through
from tests.authz.town import Town
from tests.cast import Clinic, Person
from tests.identity.authenticator import adds_passkey
from tests.prescription.test_post_prescriptions import held_consultation

TABLES = ("consultations", "prescriptions", "audit_logs", "idempotency_keys", "users", "break_glass_grants")
CELLS_MIN = 150
PEOPLE = ("amara", "dora", "dev", "paul", "petra")


@pytest.fixture
def records(clinic: Clinic) -> Clinic:
    """A clinic in which Dora has held a consultation with Paul, and prescribed."""
    assert all(getattr(clinic, name).id for name in PEOPLE)
    clinic.dora.prescribes(held_consultation(clinic), expect=201)
    return clinic


def tell(connection: psycopg.Connection, role: str, clinic_id: int | str = "", actor: str = "") -> None:
    for name, value in (("role", role), ("clinic", str(clinic_id)), ("actors", f"{{{actor}}}")):
        connection.execute("SELECT set_config(%s, %s, false)", [f"telemed.{name}", value])


def seen(connection: psycopg.Connection, clinic: Clinic) -> dict[str, int]:
    counts = {}
    for table in TABLES:
        row = connection.execute(f"SELECT count(*) FROM {table} WHERE clinic_id = %s", [clinic.id]).fetchone()
        assert row is not None
        counts[table] = row[0]
    return counts


def test_each_sees_their_own_and_admins_see_the_clinic(records: Clinic, as_application: psycopg.Connection) -> None:
    everything = {**seen(as_application, records)}
    assert everything["consultations"] == everything["prescriptions"] == 1
    assert everything["users"] == len(PEOPLE)

    def sees(person: Person, role: str) -> dict[str, int]:
        tell(as_application, role, records.id, person.id)
        # They are told of what others did with their record, and of nothing else.
        row = as_application.execute(
            "SELECT count(*) FROM audit_logs WHERE clinic_id = %s AND subject_id IS DISTINCT FROM %s",
            [records.id, person.id],
        ).fetchone()
        assert row is not None
        return {**seen(as_application, records), "audit_logs": row[0]}

    none = dict.fromkeys(TABLES, 0)
    own = {**none, "consultations": 1, "prescriptions": 1}
    assert sees(records.paul, "patient") == {**own, "idempotency_keys": 1, "users": 1}
    assert sees(records.petra, "patient") == {**none, "users": 1}
    assert sees(records.dora, "doctor") == {**own, "idempotency_keys": 1, "users": 1}
    assert sees(records.dev, "doctor") == {**none, "users": 1}
    tell(as_application, "admin", records.id, records.amara.id)
    assert seen(as_application, records) == {**everything, "prescriptions": 0, "idempotency_keys": 0}


def test_grant_opens_a_record_for_its_hour(records: Clinic, owner: psycopg.Connection, database_url: str) -> None:
    grant = records.dev.posts(f"/patients/{records.paul.id}/break-glass", {"reason": "Unconscious"}, expect=201).json()
    with psycopg.connect(database_url, autocommit=True, options="-c role=telemed_app") as connection:
        tell(connection, "doctor", records.id, records.dev.id)
        opened = seen(connection, records)
        assert (opened["consultations"], opened["prescriptions"], opened["break_glass_grants"]) == (1, 1, 1)
        owner.execute("ALTER TABLE break_glass_grants DISABLE TRIGGER tr_break_glass_grants_final")
        owner.execute(
            "UPDATE break_glass_grants SET granted_at = now() - interval '1 hour', expires_at = now() WHERE id = %s",
            [grant["id"]],
        )
        owner.execute("ALTER TABLE break_glass_grants ENABLE TRIGGER tr_break_glass_grants_final")
        closed = seen(connection, records)
        assert (closed["consultations"], closed["prescriptions"]) == (0, 0)


def test_another_clinic_sees_nothing_but_who_works_here(
    records: Clinic, elsewhere: Clinic, as_application: psycopg.Connection
) -> None:
    for person, role in ((elsewhere.amara, "admin"), (elsewhere.dora, "doctor"), (elsewhere.paul, "patient")):
        tell(as_application, role, elsewhere.id, person.id)
        assert seen(as_application, records) == dict.fromkeys(TABLES, 0)


def test_who_is_not_told_sees_nothing(records: Clinic, database_url: str) -> None:
    with psycopg.connect(database_url, options="-c role=telemed_app") as connection:
        assert seen(connection, records) == dict.fromkeys(TABLES, 0)


def refused(connection: psycopg.Connection, statement: str, *values: object) -> bool:
    """Whether PostgreSQL says no, or finds no row to change."""
    try:
        return connection.execute(statement, values).rowcount == 0
    except psycopg.errors.InsufficientPrivilege:
        return True


def test_nobody_changes_what_is_not_theirs(records: Clinic, as_application: psycopg.Connection) -> None:
    held = records.petra.has_booked(records.dora.offers())
    slot = records.dora.offers()
    complete = "UPDATE consultations SET status = 'completed', completed_at = now() WHERE id = %s"
    withdraw = "UPDATE availability_slots SET status = 'withdrawn' WHERE id = %s"
    promote = "UPDATE users SET role = 'admin', specialty = NULL WHERE id = %s"
    rename = "UPDATE users SET full_name = 'Somebody Else' WHERE id = %s"
    for person, role in ((records.paul, "patient"), (records.dev, "doctor")):
        tell(as_application, role, records.id, person.id)
        assert refused(as_application, complete, held["id"])
        assert refused(as_application, withdraw, slot["id"])
        assert refused(as_application, promote, person.id)
        assert refused(as_application, rename, records.petra.id)
    tell(as_application, "patient", records.id, records.petra.id)
    assert refused(as_application, complete, held["id"])
    tell(as_application, "admin", records.id, records.amara.id)
    assert refused(as_application, complete, held["id"])


def test_sessions_and_second_factors_are_their_owners(records: Clinic, as_application: psycopg.Connection) -> None:
    adds_passkey(records.paul)

    def sees(person: Person, role: str) -> list[int]:
        tell(as_application, role, records.id, person.id)
        counts = "SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM passkeys)"
        row = as_application.execute(counts).fetchone()
        assert row is not None
        return list(row)

    assert sees(records.paul, "patient") == [1, 1]
    assert sees(records.dora, "doctor") == [1, 0]
    # Who ends the sessions of somebody they deactivate sees those of the clinic.
    assert sees(records.amara, "admin") == [len(PEOPLE), 0]
    assert sees(records.petra, "patient") == [1, 0]
    assert refused(as_application, "UPDATE sessions SET ended_at = now() WHERE user_id = %s", records.paul.id)
    assert refused(as_application, "DELETE FROM passkeys WHERE user_id = %s", records.paul.id)


def test_nobody_books_or_prescribes_in_anothers_name(records: Clinic, as_application: psycopg.Connection) -> None:
    slot = records.dora.offers()
    book = (
        "INSERT INTO consultations (clinic_id, id, slot_id, doctor_id, patient_id, starts_at, ends_at, idempotency_key)"
        " SELECT clinic_id, gen_random_uuid(), id, doctor_id, %s, starts_at, ends_at, 'some-key'"
        " FROM availability_slots WHERE id = %s"
    )
    for person, role in ((records.petra, "patient"), (records.dora, "doctor"), (records.amara, "admin")):
        tell(as_application, role, records.id, person.id)
        assert refused(as_application, book, records.paul.id, slot["id"])


def test_without_the_gate_the_database_stops_the_wrong_role(
    town: Town, monkeypatch: pytest.MonkeyPatch, owner: psycopg.Connection
) -> None:
    """Everybody is let in as whatever they are: nothing is done, and no record of another person is told.

    Without the conditions in the statements, too: `python -m tests.proof authz`.
    """
    cells = list(forbidden_cells(town))
    assert len(cells) >= CELLS_MIN
    with monkeypatch.context() as patched:
        patched.setattr(guard, "may", lambda *_: True)
        assert [through for cell in cells if (through := gets_through(cell, town, owner))] == []


def test_policies_ask_yes_or_no(owner: psycopg.Connection) -> None:
    """Of a sub-select's word PostgreSQL expects one row in two hundred, and sorts a clinic's history for a page."""
    asks_for_a_word = r"'telemed\.role'[^)]*\) AS current_setting\) = '"
    found = owner.execute(
        "SELECT tablename, policyname FROM pg_policies WHERE qual ~ %s"
        " UNION ALL SELECT viewname, 'view' FROM pg_views WHERE definition ~ %s",
        [asks_for_a_word, asks_for_a_word],
    ).fetchall()
    assert found == []
