"""Bring the schema up to date, once, however many ask at the same time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy
import sqlalchemy.exc
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from app.db.statement import Statement, compiled

MIGRATIONS = Path(__file__).with_name("migrations")
# Any number will do, if every release keeps it.
ADVISORY_LOCK = 7_065_108_101
HEAD = "head"

CURRENT_REVISION: Statement[str] = compiled(
    "current_revision",
    sqlalchemy.select(sqlalchemy.column("version_num")).select_from(sqlalchemy.table("alembic_version")),
    str,
)


class MigrationFailed(Exception):
    """The database cannot be reached, or refused a step; the message is the first line of its reason."""


def head() -> str:
    """The newest step that this release knows."""
    revision = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    assert revision is not None, "there are migrations"
    return revision


def upgrade(url: str, *, app_role: str, to: str = HEAD) -> None:
    """Run the missing steps as the owner that `url` logs in, and make the months of the coming year."""
    with locked(url) as connection:
        command.upgrade(_config(connection, app_role), to)
        if to == HEAD:
            connection.execute(text("SELECT make_audit_months(), make_outbox_months()"))
            connection.commit()


def downgrade(url: str, *, app_role: str, to: str) -> None:
    """Undo steps down to `to`; for tests, and for the hour after a bad release."""
    with locked(url) as connection:
        command.downgrade(_config(connection, app_role), to)


def is_empty(url: str) -> bool:
    """Whether the database that `url` names has never been migrated."""
    with _connected(url) as connection:
        return bool(connection.scalar(text("SELECT to_regclass('public.alembic_version') IS NULL")))


@contextmanager
def locked(url: str) -> Iterator[Connection]:
    """A connection as the owner, who changes the schema alone. Raises `MigrationFailed`."""
    with _connected(url) as connection:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": ADVISORY_LOCK})
        connection.commit()
        try:
            yield connection
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": ADVISORY_LOCK})
            connection.commit()


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    engine = sqlalchemy.create_engine(_driver_url(url), poolclass=sqlalchemy.NullPool)
    try:
        with engine.connect() as connection:
            yield connection
    except sqlalchemy.exc.DBAPIError as error:
        # The first line only: PostgreSQL's others may quote values.
        raise MigrationFailed(str(error.orig or error).strip().splitlines()[0]) from error


def _config(connection: Connection, app_role: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes.update(connection=connection, app_role=app_role)
    return config


def _driver_url(url: str) -> sqlalchemy.URL:
    return sqlalchemy.make_url(url).set(drivername="postgresql+psycopg")
