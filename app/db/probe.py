"""Questions to a server that may be away, asked on a connection of their own: for `telemed check`."""

from datetime import datetime

import psycopg

CONNECT_TIMEOUT_S = 3


def unreachable_because(url: str) -> str | None:
    """`None` if the database answers, else the first line of the reason."""
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
            connection.execute("SELECT 1")
    except psycopg.Error as error:
        return str(error).strip().splitlines()[0]
    return None


def schema_revision(url: str) -> str | None:
    """The migration that the schema is at; `None` if it has none, or cannot be asked."""
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except psycopg.Error:
        return None
    return row[0] if row else None


def time_zone_and_time(url: str) -> tuple[str, datetime] | None:
    """The zone that a session gets when it asks for UTC, and the server's time; `None` if it cannot be asked."""
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S, options="-c timezone=UTC") as connection:
            row = connection.execute("SELECT current_setting('TimeZone'), clock_timestamp()").fetchone()
    except psycopg.Error:
        return None
    assert row is not None, "a select without FROM has one row"
    return row[0], row[1]
