"""`telemed check`: one line for each thing that must be right, exit code 1 if one is not."""

import shutil
from collections.abc import Callable
from contextlib import ExitStack

import psycopg
import typer

from app.cli.console import out
from app.cli.house import House, is_reachable, opened
from app.db import migrate
from app.db.embedded import EmbeddedServerError
from app.kit import clock
from app.settings import SettingsError

DISK_FREE_MIN_BYTES = 1 << 30
CLOCK_DRIFT_MAX_S = 5.0


def check() -> None:
    """Check settings, database, schema, time zone, clock and disk."""
    with ExitStack() as stack:
        try:
            house = stack.enter_context(opened())
        except (SettingsError, EmbeddedServerError) as error:
            _report("settings", str(error))
            raise typer.Exit(1) from error
        _report("settings", None)
        results = [_report(name, run(house)) for name, run in CHECKS.items()]
    if not all(results):
        raise typer.Exit(1)


def _database(house: House) -> str | None:
    return is_reachable(house.owner_url)


def _schema(house: House) -> str | None:
    try:
        with psycopg.connect(house.owner_url, connect_timeout=3) as connection:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except psycopg.errors.UndefinedTable:
        row = None
    except psycopg.Error:
        return "unknown: the database cannot be reached"
    if row is None or row[0] != migrate.head():
        return f"at {row[0] if row else 'nothing'}, not at {migrate.head()}; run: telemed migrate"
    return None


def _time(house: House) -> str | None:
    try:
        with psycopg.connect(house.owner_url, connect_timeout=3, options="-c timezone=UTC") as connection:
            row = connection.execute("SELECT current_setting('TimeZone'), clock_timestamp()").fetchone()
    except psycopg.Error:
        return "unknown: the database cannot be reached"
    assert row is not None, "a select without FROM has one row"
    if row[0] != "UTC":
        return f"the database insists on the time zone {row[0]}, not UTC"
    drift_s = abs((row[1] - clock.now()).total_seconds())
    if drift_s > CLOCK_DRIFT_MAX_S:
        return f"this machine and the database differ by {drift_s:.0f} s; set both by NTP"
    return None


def _disk(house: House) -> str | None:
    folder = house.settings.telemed_data_dir if house.settings.is_embedded else "."
    free = shutil.disk_usage(folder).free
    return None if free >= DISK_FREE_MIN_BYTES else f"only {free >> 20} MiB are free; at least 1024 are needed"


CHECKS: dict[str, Callable[[House], str | None]] = {
    "database": _database,
    "schema": _schema,
    "time zone": _time,
    "disk": _disk,
}


def _report(name: str, problem: str | None) -> bool:
    out.print(f"{'ok  ' if problem is None else 'FAIL'} {name}{': ' + problem if problem else ''}", markup=False,
              soft_wrap=True)
    return problem is None
