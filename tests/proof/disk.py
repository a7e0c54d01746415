"""PostgreSQL's disk fills under a running API, and has room again: nothing but 503 meanwhile, and no restart after.

A disk of its own is a small one in memory, mounted for the run; where that is not allowed (whoever is not root) nothing
is measured, and the run says so.
"""

import asyncio
import contextlib
import os
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg

from app.db import embedded, migrate
from tests.proof import checker
from tests.proof.figures import Figure, Scenario, at_least, at_most, exactly, none, told
from tests.proof.outage import OWNER, Probes, Seen, is_well
from tests.proof.served import Served
from tests.proof.town import Town

DISK_MB = 320
RECOVERY_S_MAX = 3.0
# PostgreSQL has died of it and has to come back by itself: its keeper tries again, and recovery reads the log.
RECOVERY_S_MAX_LOG = 15.0
ANSWER_S_MAX = 3.0
# Reads need no room, as long as PostgreSQL lives.
READS = {"read", "search", "ready", "live"}
DATA, LOG = "data", "write-ahead log"
_FILL = 1 << 20


def disk(*, ways: tuple[str, ...], seconds: int) -> list[Figure]:
    """The data or the write-ahead log finds no room for some seconds."""
    with tempfile.TemporaryDirectory() as home:
        disk_of_its_own = Path(home, "disk")
        disk_of_its_own.mkdir()
        if not _is_mounted(disk_of_its_own):
            return [told("not measured: no disk can be mounted here", 0)]
        try:
            return [figure for how in ways for figure in _filled(Path(home), disk_of_its_own, how, seconds)]
        finally:
            subprocess.run(["umount", str(disk_of_its_own)], check=True)


def _is_mounted(folder: Path) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=0700", "tmpfs", str(folder)]
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def _filled(home: Path, folder: Path, how: str, seconds: int) -> list[Figure]:
    with _running(home, folder, how) as (database, served):
        town = Town(database.url(OWNER))
        probes = Probes(served, town)
        pid, postmaster = served.pid, database.pid
        full_at, free_at, healed_s = asyncio.run(_fill_and_free(probes, database, folder, how, seconds))
        return [
            *_figures(f"no room for {how}", how, probes, full_at, free_at, healed_s),
            exactly(f"no room for {how}: the API is the same process", served.pid, pid),
            none(f"no room for {how}: acknowledged bookings lost", checker.lost(town, probes.booked)),
            *(figure for figure in checker.violations(town) if not figure.is_met),
            exactly(f"no room for {how}: PostgreSQL died of it", database.pid != postmaster, how == LOG),
            at_least(f"no room for {how}: lines in the log that say so", _told_of(served), 1),
        ]


@contextlib.contextmanager
def _running(home: Path, folder: Path, how: str) -> Iterator[tuple[embedded.Attachment, Served]]:
    name = how.replace(" ", "-")
    with embedded.attach(folder / name) as database:
        migrate.upgrade(database.url(OWNER), app_role="telemed_app")
        api_home = home / f"api-{name}"
        api_home.mkdir()
        with Served(api_home, database_url=database.url(OWNER)) as served:
            yield database, served


async def _fill_and_free(
    probes: Probes, database: embedded.Attachment, folder: Path, how: str, seconds: int
) -> tuple[float, float, float]:
    tasks = probes.start()
    await probes.until_all_are_well()
    filler = folder / "filler"
    # On a full disk nobody can connect any more who was not connected before.
    with psycopg.connect(database.url("postgres", "postgres"), autocommit=True) as boss:
        _fill(filler)
        full_at = time.monotonic()
        if how == LOG:
            await asyncio.to_thread(_use_up_log, boss)
        await asyncio.sleep(seconds)
    free_at = time.monotonic()
    filler.unlink()
    await probes.until_all_are_well()
    healed_s = time.monotonic() - free_at
    probes.is_over = True
    await asyncio.gather(*tasks)
    return full_at, free_at, healed_s


def _fill(filler: Path) -> None:
    with filler.open("wb") as file, contextlib.suppress(OSError):
        while True:
            os.write(file.fileno(), b"\0" * _FILL)


def _use_up_log(boss: "psycopg.Connection[tuple[object, ...]]") -> None:
    """Begin segments of the log until there is no room for one, of which PostgreSQL dies."""
    with contextlib.suppress(psycopg.OperationalError):
        while True:
            boss.execute("SELECT pg_logical_emit_message(false, 'proof', 'a'), pg_switch_wal()")


def _told_of(served: Served) -> int:
    return sum("no room" in line or "cannot be reached" in line for line in served.errors_logged())


def _figures(name: str, how: str, probes: Probes, full_at: float, free_at: float, healed_s: float) -> list[Figure]:
    refused = [seen for seen in probes.seen if not is_well(seen) and seen.what != "live"]
    meanwhile = [seen for seen in probes.seen if full_at < seen.started and seen.ended < free_at]
    odd = Counter(f"{seen.what} {seen.said}" for seen in refused if not _is_said_well(seen))
    found = [
        at_least(f"{name}: bookings refused", sum(seen.what == "book" for seen in refused), 1),
        none(f"{name}: refusals that are not 503 unavailable {dict(odd)}", odd.total()),
        at_most(
            f"{name}: longest wait for an answer", max(s.ended - s.started for s in probes.seen), ANSWER_S_MAX, "s"
        ),
        none(f"{name}: /health/live other than 200", sum(not is_well(s) for s in probes.seen if s.what == "live")),
        at_most(f"{name}: room again to all well", healed_s, RECOVERY_S_MAX_LOG if how == LOG else RECOVERY_S_MAX, "s"),
    ]
    if how == DATA:
        reads = [seen for seen in meanwhile if seen.what in READS]
        found.append(none(f"{name}: of {len(reads)} reads refused", sum(not is_well(seen) for seen in reads)))
    return found


def _is_said_well(seen: Seen) -> bool:
    return seen.said == "503 unavailable" and seen.retry_after is not None


DISK = Scenario("disk", disk, short={"ways": (DATA,), "seconds": 2}, full={"ways": (DATA, LOG), "seconds": 15})
