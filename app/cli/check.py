"""`telemed check`: one line for each thing that must be right, exit code 1 if one is not."""

import shutil
from collections.abc import Callable
from contextlib import ExitStack

import typer

from app.cli.console import out
from app.cli.house import House, opened
from app.cli.text import LACKING
from app.db import migrate, probe
from app.db.embedded import EmbeddedServerError
from app.encryption import service as encryption
from app.kit import clock
from app.settings import SettingsError

DISK_FREE_MIN_BYTES = 1 << 30
CLOCK_DRIFT_MAX_S = 5.0


def check() -> None:
    """Check settings, database, schema, time zone, clock, keys of clinical text, and disk."""
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
    return probe.unreachable_because(house.owner_url)


def _schema(house: House) -> str | None:
    revision = probe.schema_revision(house.owner_url)
    if revision != migrate.head():
        return f"at {revision or 'nothing'}, not at {migrate.head()}; run: telemed migrate"
    return None


def _time(house: House) -> str | None:
    answer = probe.time_zone_and_time(house.owner_url)
    if answer is None:
        return "unknown: the database cannot be reached"
    zone, database_now = answer
    if zone != "UTC":
        return f"the database insists on the time zone {zone}, not UTC"
    drift_s = abs((database_now - clock.now()).total_seconds())
    if drift_s > CLOCK_DRIFT_MAX_S:
        return f"this machine and the database differ by {drift_s:.0f} s; set both by NTP"
    return None


def _text(house: House) -> str | None:
    if _schema(house) is not None:
        return "unknown until the schema is right"
    lacking = house.run(lambda db, _: encryption.unreadable(db, house.key_ring))
    return f"{lacking} pieces {LACKING}; add it behind the first one" if lacking else None


def _disk(house: House) -> str | None:
    folder = house.settings.telemed_data_dir if house.settings.is_embedded else "."
    free = shutil.disk_usage(folder).free
    return None if free >= DISK_FREE_MIN_BYTES else f"only {free >> 20} MiB are free; at least 1024 are needed"


CHECKS: dict[str, Callable[[House], str | None]] = {
    "database": _database,
    "schema": _schema,
    "time zone": _time,
    "clinical text": _text,
    "disk": _disk,
}


def _report(name: str, problem: str | None) -> bool:
    out.print(
        f"{'ok  ' if problem is None else 'FAIL'} {name}{': ' + problem if problem else ''}",
        markup=False,
        soft_wrap=True,
    )
    return problem is None
