"""The clinic is the shard: every key of every table begins with `clinic_id` (docs/decisions/0002)."""

import psycopg

TABLES_THAT_MUST_BE_THERE = {
    "users", "availability_slots", "consultations", "prescriptions", "idempotency_keys", "audit_logs",
}  # fmt: skip
# `clinics` is a reference table on Citus, and Alembic's table is no shard's.
EXEMPT = {("clinics", "uq_clinics_slug"), ("alembic_version", "alembic_version_pkc")}

KEYS = """
SELECT c.conrelid::regclass::text, c.conname, own.attname, foreign_column.attname
FROM pg_constraint AS c
JOIN pg_attribute AS own ON own.attrelid = c.conrelid AND own.attnum = c.conkey[1]
LEFT JOIN pg_attribute AS foreign_column ON foreign_column.attrelid = c.confrelid
    AND foreign_column.attnum = c.confkey[1]
WHERE c.connamespace = 'public'::regnamespace AND c.contype IN ('p', 'u', 'x', 'f')
"""
UNIQUE_INDEXES = """
SELECT i.indrelid::regclass::text, i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid, 1, true)
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid
WHERE (i.indisunique OR i.indisexclusion) AND c.relnamespace = 'public'::regnamespace
"""


def test_tables_of_the_contract_are_there(owner: psycopg.Connection) -> None:
    found = {row[0] for row in owner.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
    assert found >= TABLES_THAT_MUST_BE_THERE


def test_every_key_begins_with_the_clinic_on_both_sides(owner: psycopg.Connection) -> None:
    keys = owner.execute(KEYS).fetchall()
    assert len(keys) > 20
    wrong = [
        (table, name)
        for table, name, column, foreign_column in keys
        if column != "clinic_id" or foreign_column not in (None, "clinic_id")
    ]
    assert set(wrong) == EXEMPT


def test_every_unique_index_begins_with_the_clinic(owner: psycopg.Connection) -> None:
    indexes = owner.execute(UNIQUE_INDEXES).fetchall()
    assert {(table, name) for table, name, column in indexes if column != "clinic_id"} == EXEMPT


def test_every_table_has_a_primary_key(owner: psycopg.Connection) -> None:
    without = owner.execute(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
        " AND NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = pg_class.oid AND contype = 'p')"
    ).fetchall()
    assert without == []


def test_every_time_is_aware(owner: psycopg.Connection) -> None:
    naive = owner.execute(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        " AND data_type IN ('timestamp without time zone', 'time without time zone', 'date')"
    ).fetchall()
    assert naive == []
