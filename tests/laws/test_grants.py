"""What the application's role may do, to the letter. It makes nothing, and it changes no more columns than it must."""

from typing import Any

import psycopg
import pytest
from psycopg import errors

from app.db import embedded
from app.db.statement import Statement
from tests.cast import Clinic
from tests.conftest import apart

READ, ADD, REMOVE = "SELECT", "INSERT", "DELETE"
TABLES = {
    "alembic_version": {READ},
    "clinics": {READ, ADD},
    "users": {READ, ADD},
    "doctors": {READ},
    "staff": {READ},
    "patients": {READ},
    "sessions": {READ, ADD, REMOVE},
    "refresh_tokens": {READ, ADD, REMOVE},
    "revocations": {READ, ADD, REMOVE},
    "totp_secrets": {READ, ADD, REMOVE},
    "recovery_codes": {READ, ADD, REMOVE},
    "login_attempts": {READ, ADD, REMOVE},
    "rate_counts": {READ, ADD, REMOVE},
    "passkeys": {READ, ADD, REMOVE},
    "passkey_challenges": {READ, ADD, REMOVE},
    "links": {READ, ADD},
    "availability_slots": {READ, ADD},
    "consultations": {READ, ADD},
    "prescriptions": {READ, ADD},
    "break_glass_grants": {READ, ADD},
    "data_keys": {READ, ADD, REMOVE},
    "idempotency_keys": {READ, ADD, REMOVE},
    "audit_logs": {READ, ADD},
    "audit_seals": {READ, ADD},
    "outbox": {READ, ADD, REMOVE},
}
COLUMNS = {
    "clinics": {"second_factor_roles", "bookings_ahead_max", "bookings_a_day_max"},
    "users": {
        "password_hash", "full_name", "role", "specialty", "is_active", "time_zone", "token_version",
        "email_confirmed_at",
    },
    "sessions": {"ended_at", "end_reason"},
    "refresh_tokens": {"used_at"},
    "totp_secrets": {"sealed", "created_at", "confirmed_at", "last_step", "failures", "failed_at"},
    "recovery_codes": {"used_at"},
    "login_attempts": {"failures", "failed_at", "known_until", "expires_at"},
    "rate_counts": {"requests"},
    "passkeys": {"sign_count", "last_used_at"},
    "passkey_challenges": {"spent_at"},
    "links": {"id", "nonce", "token_hash", "password_mark", "made_at", "expires_at", "used_at"},
    "availability_slots": {"status"},
    "consultations": {"status", "completed_at", "cancelled_at", "cancel_reason"},
    "break_glass_grants": {"reviewed_at", "reviewed_by", "review_note"},
    "data_keys": {"wrapped"},
    "idempotency_keys": {"outcome"},
    "outbox": {"published_at", "due_at", "attempts"},
}  # fmt: skip
FUNCTIONS = {"make_audit_months()", "make_outbox_months()", "drop_outbox_month()"}
DDL = [
    "CREATE TABLE mine (id int)",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE EXTENSION pgcrypto",
    "ALTER TABLE users ADD COLUMN mine int",
    "ALTER TABLE consultations DISABLE TRIGGER ALL",
    "DROP TABLE outbox",
    "CREATE INDEX mine ON users (email)",
    "CREATE ROLE mine",
    "COPY users TO PROGRAM 'cat'",
    "DROP TABLE audit_logs_default",
    "SELECT make_months('outbox', 1)",
    "SELECT make_month('outbox', '2020-01-01')",
]


def granted(owner: psycopg.Connection, query: str) -> dict[str, set[str]]:
    """Table -> what the role has on it."""
    found: dict[str, set[str]] = {}
    for table, right in owner.execute(query):
        found.setdefault(table, set()).add(right)
    return found


def test_role_has_exactly_these_rights_on_tables(owner: psycopg.Connection) -> None:
    query = (
        "SELECT c.oid::regclass::text, privilege FROM pg_class AS c, unnest(ARRAY["
        " 'SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS privilege"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')"
        " AND has_table_privilege('telemed_app', c.oid, privilege)"
    )
    assert granted(owner, query) == TABLES


def test_role_may_change_exactly_these_columns(owner: psycopg.Connection) -> None:
    query = (
        "SELECT attrelid::regclass::text, attname FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND attnum > 0"
        " AND has_column_privilege('telemed_app', attrelid, attnum, 'UPDATE')"
    )
    assert granted(owner, query) == COLUMNS


def test_role_may_use_one_sequence_and_three_functions_of_ours(owner: psycopg.Connection) -> None:
    sequences = owner.execute(
        "SELECT seqrelid::regclass::text FROM pg_sequence"
        " WHERE has_sequence_privilege('telemed_app', seqrelid, 'USAGE, UPDATE')"
    ).fetchall()
    assert sequences == [("availability_slots_id_seq",)]
    functions = owner.execute(
        "SELECT p.oid::regprocedure::text, prosecdef, proconfig[1] FROM pg_proc AS p"
        " WHERE pronamespace = 'public'::regnamespace"
        " AND has_function_privilege('telemed_app', p.oid, 'EXECUTE') AND prorettype <> 'trigger'::regtype"
        " AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')"
    ).fetchall()
    assert {name for name, *_ in functions} == FUNCTIONS
    # As the owner, with nothing in the way of the names that they use.
    assert {how for _, *how in map(list, functions) for how in [tuple(how)]} == {
        (True, "search_path=pg_catalog, pg_temp")
    }


def test_no_function_that_the_role_may_use_drops_audit_rows(postgres: embedded.Attachment) -> None:
    with (
        apart(postgres, "audit_kept") as (_, superuser_url),
        psycopg.connect(superuser_url, autocommit=True) as owner,
        psycopg.connect(superuser_url, autocommit=True, options="-c role=telemed_app") as application,
    ):
        owner.execute("SELECT make_month('audit_logs', '2001-01-01')")
        owner.execute(
            "INSERT INTO audit_logs (clinic_id, id, occurred_at, action, entity_type, outcome, request_id)"
            " SELECT 1, gen_random_uuid(), moment, 'user.created', 'user', 'success', 'test'"
            " FROM unnest('{1999-01-31, 2001-01-31, now}'::timestamptz[]) AS moment"
        )
        count = "SELECT count(*) FROM audit_logs"
        before = owner.execute(count).fetchone()
        for function in sorted(FUNCTIONS):
            application.execute(f"SELECT {function}".encode())
        assert owner.execute(count).fetchone() == before


def test_role_owns_nothing_and_is_nobody_special(owner: psycopg.Connection) -> None:
    row = owner.execute(
        "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls,"
        " EXISTS (SELECT FROM pg_class WHERE relowner = r.oid), EXISTS (SELECT FROM pg_proc WHERE proowner = r.oid),"
        " EXISTS (SELECT FROM pg_auth_members WHERE member = r.oid) FROM pg_roles AS r WHERE rolname = 'telemed_app'"
    ).fetchone()
    assert row == (False,) * 8


@pytest.mark.parametrize("statement", DDL)
def test_role_cannot_make_or_change_anything(as_application: psycopg.Connection, statement: str) -> None:
    with pytest.raises((errors.InsufficientPrivilege, errors.FeatureNotSupported)):
        as_application.execute(statement)


def test_application_works_under_that_role(clinic: Clinic) -> None:
    refused = "DELETE FROM audit_logs"
    app: Any = clinic.client.app
    statement = Statement("refused", refused, int, (), frozenset(), {}, {}, is_write=True)
    assert clinic.client.portal is not None
    with pytest.raises(errors.InsufficientPrivilege, match="permission denied"):
        clinic.client.portal.call(app.state.db.execute, statement)
