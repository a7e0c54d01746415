"""The tables as the migrations make them are the tables as the models tell them."""

import re

import psycopg
import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, Connection
from sqlalchemy.dialects.postgresql import ExcludeConstraint

from app.db.schema import metadata
from tests.laws.catalog import modules

_NOT_OURS = re.compile("^audit_logs_|^outbox_|^alembic_version$")


@pytest.fixture(autouse=True)
def _all_models() -> None:
    assert len(modules("models")) > 5


@pytest.fixture
def connection(database_url: str) -> Connection:
    engine = sqlalchemy.create_engine(
        database_url.replace("postgresql://", "postgresql+psycopg://"), poolclass=sqlalchemy.NullPool
    )
    with engine.connect() as connection:
        yield connection


def _is_ours(thing: object, name: str | None, kind: str, _reflected: bool, _other: object) -> bool:
    # A month of the audit log is a table for PostgreSQL, and a part of one for us.
    return not (kind == "table" and name is not None and _NOT_OURS.match(name))


def test_migrated_tables_equal_the_models(connection: Connection) -> None:
    options = {"compare_type": True, "compare_server_default": True, "include_object": _is_ours}
    context = MigrationContext.configure(connection, opts=options)
    assert compare_metadata(context, metadata) == []


@pytest.mark.parametrize(("kind", "constraint_class"), [("c", CheckConstraint), ("x", ExcludeConstraint)])
def test_constraints_that_alembic_does_not_compare_have_equal_names(
    owner: psycopg.Connection, kind: str, constraint_class: type
) -> None:
    found = owner.execute(
        "SELECT conrelid::regclass::text, conname FROM pg_constraint"
        " WHERE contype = %s AND connamespace = 'public'::regnamespace AND coninhcount = 0",
        [kind],
    ).fetchall()
    told = {
        (table.name, constraint.name)
        for table in metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, constraint_class)
    }
    assert set(found) == {(table, str(name)) for table, name in told}


def test_models_make_the_same_tables_as_the_migrations(owner: psycopg.Connection, connection: Connection) -> None:
    """Made from the models in a schema of their own, the tables have the same columns, constraints and indexes."""
    connection.execute(sqlalchemy.text("CREATE SCHEMA from_models"))
    connection.execute(sqlalchemy.text("SET LOCAL search_path = from_models, public"))
    metadata.create_all(connection, checkfirst=False)
    differences = connection.execute(sqlalchemy.text(_DIFFERENCES)).fetchall()
    connection.rollback()
    assert differences == []


_DESCRIBED = """
SELECT c.relname AS place, a.attname AS name,
    concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
              replace(pg_get_expr(d.adbin, d.adrelid), '::text', '')) AS what
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relkind IN ('r', 'p') AND c.relnamespace = '{schema}'::regnamespace
UNION ALL
SELECT c.relname, o.conname, replace(pg_get_constraintdef(o.oid), '{schema}.', '')
FROM pg_constraint AS o JOIN pg_class AS c ON c.oid = o.conrelid
WHERE c.relnamespace = '{schema}'::regnamespace AND o.contype <> 'n'
UNION ALL
SELECT tablename, indexname, replace(indexdef, '{schema}.', '') FROM pg_indexes WHERE schemaname = '{schema}'
"""
_OURS = f"place !~ '{_NOT_OURS.pattern}'"
_PUBLIC = f"SELECT * FROM ({_DESCRIBED.format(schema='public')}) AS migrated WHERE {_OURS}"
_MODELS = f"SELECT * FROM ({_DESCRIBED.format(schema='from_models')}) AS modelled WHERE {_OURS}"
_DIFFERENCES = (
    f"(SELECT 'migrated', * FROM ({_PUBLIC} EXCEPT {_MODELS}) AS a)"
    f" UNION ALL (SELECT 'modelled', * FROM ({_MODELS} EXCEPT {_PUBLIC}) AS b) ORDER BY 2, 3, 1"
)
