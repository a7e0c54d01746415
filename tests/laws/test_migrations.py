"""The steps of the schema: one line of them, named like their files, and each can be undone."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from alembic.script import ScriptDirectory
from psycopg import sql

from app.db import embedded, migrate

FILES = sorted((migrate.MIGRATIONS / "versions").glob("[0-9]*.py"))
ROLE = "telemed_app"

DESCRIBED = """
SELECT 'column', table_name, column_name, concat_ws(' ', data_type, is_nullable, column_default, is_identity)
FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid <> 0
UNION ALL SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid)
FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'grant', table_name, grantee, privilege_type
FROM information_schema.table_privileges WHERE table_schema = 'public'
UNION ALL SELECT 'policy', tablename, policyname, concat_ws(' ', cmd, qual, with_check)
FROM pg_policies WHERE schemaname = 'public'
UNION ALL SELECT 'view', viewname, viewowner, definition FROM pg_views WHERE schemaname = 'public'
ORDER BY 1, 2, 3, 4
"""
LEFT_OVER = """
SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
    AND relkind IN ('r', 'p', 'S', 'v') AND relname <> 'alembic_version'
UNION ALL SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION ALL SELECT extname FROM pg_extension WHERE extname <> 'plpgsql'
"""


@pytest.fixture
def empty_database(postgres: embedded.Attachment) -> Iterator[str]:
    """The owner's address of a database without anything in it."""
    name = sql.Identifier(f"empty_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}")
    with psycopg.connect(postgres.url("postgres", "postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(name))
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER telemed_owner").format(name))
        yield postgres.url("telemed_owner", name.as_string().strip('"'))
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def asked(url: str, query: str) -> list[tuple[str, ...]]:
    """The rows of one query."""
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


def test_there_is_one_head_and_one_base() -> None:
    scripts = ScriptDirectory(str(migrate.MIGRATIONS))
    assert len(scripts.get_heads()) == len(scripts.get_bases()) == 1
    assert len(list(scripts.walk_revisions())) == len(FILES)


def test_every_step_is_named_like_its_file_and_follows_the_one_before() -> None:
    scripts = ScriptDirectory(str(migrate.MIGRATIONS))
    line = [(step.revision, step.down_revision) for step in reversed(list(scripts.walk_revisions()))]
    names = [path.stem for path in FILES]
    assert line == list(zip(names, [None, *names], strict=False))


def test_numbers_of_the_steps_have_no_gap() -> None:
    assert [path.stem[:5] for path in FILES] == [f"{number:04d}_" for number in range(1, len(FILES) + 1)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_step_says_what_it_does(path: object) -> None:
    step = ScriptDirectory(str(migrate.MIGRATIONS)).get_revision(getattr(path, "stem", ""))
    assert step.doc.endswith(".")


def test_up_down_and_up_again_make_the_same_schema(empty_database: str) -> None:
    migrate.upgrade(empty_database, app_role=ROLE)
    first = asked(empty_database, DESCRIBED)
    migrate.downgrade(empty_database, app_role=ROLE, to="base")
    assert asked(empty_database, LEFT_OVER) == []
    migrate.upgrade(empty_database, app_role=ROLE)
    assert asked(empty_database, DESCRIBED) == first


def test_every_step_undoes_exactly_what_it_did(empty_database: str) -> None:
    before = []
    for path in FILES:
        before.append((path.stem, asked(empty_database, DESCRIBED)))
        migrate.upgrade(empty_database, app_role=ROLE, to=path.stem)
    for name, described in reversed(before[1:]):
        migrate.downgrade(empty_database, app_role=ROLE, to=FILES[int(name[:4]) - 2].stem)
        assert asked(empty_database, DESCRIBED) == described, name


def test_upgrade_of_a_current_schema_changes_nothing(empty_database: str) -> None:
    migrate.upgrade(empty_database, app_role=ROLE)
    first = asked(empty_database, DESCRIBED)
    migrate.upgrade(empty_database, app_role=ROLE)
    assert asked(empty_database, DESCRIBED) == first


def test_revision_is_known_to_the_probe(empty_database: str) -> None:
    assert migrate.is_empty(empty_database)
    migrate.upgrade(empty_database, app_role=ROLE)
    assert not migrate.is_empty(empty_database)
    assert asked(empty_database, "SELECT version_num FROM alembic_version") == [(migrate.head(),)]


def test_events_are_moved_into_their_months_and_back(empty_database: str) -> None:
    migrate.upgrade(empty_database, app_role=ROLE, to="0009_outbox")
    events = "SELECT clinic_id, id, topic, entity_id, created_at, published_at FROM outbox ORDER BY created_at"
    with psycopg.connect(empty_database) as owner:
        owner.execute(
            "INSERT INTO outbox SELECT 1, gen_random_uuid(), 'consultation.booked', 'x', moment, now()"
            " FROM unnest('{2024-02-29 23:59:59.999999Z, 2024-03-01 00:00Z, now}'::timestamptz[]) AS moment"
        )
        owner.execute("UPDATE outbox SET published_at = NULL WHERE created_at > '2024-03-01'")
    before = asked(empty_database, events)
    migrate.upgrade(empty_database, app_role=ROLE)
    assert asked(empty_database, events) == before
    places = asked(empty_database, "SELECT tableoid::regclass::text FROM outbox ORDER BY created_at")
    assert places == [("outbox_2024_02",), ("outbox_2024_03",), (f"outbox_{datetime.now(UTC):%Y_%m}",)]
    migrate.downgrade(empty_database, app_role=ROLE, to="0009_outbox")
    assert asked(empty_database, events) == before


def test_rows_in_the_default_partition_do_not_stop_an_upgrade(empty_database: str) -> None:
    """A clinic that served on for more than a year has rows of this month there."""
    migrate.upgrade(empty_database, app_role=ROLE)
    with psycopg.connect(empty_database) as owner:
        owner.execute(f"DROP TABLE audit_logs_{datetime.now(UTC):%Y_%m}".encode())
        owner.execute(
            "INSERT INTO audit_logs (clinic_id, id, action, entity_type, outcome, request_id)"
            " VALUES (1, gen_random_uuid(), 'user.created', 'user', 'success', 'test')"
        )
    migrate.upgrade(empty_database, app_role=ROLE)
    assert asked(empty_database, "SELECT count(*) FROM audit_logs_default") == [(1,)]
