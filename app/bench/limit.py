"""The limit: PostgreSQL's own pgbench with the very SQL of a booking and of a slot search, prepared."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from app.availability.sql import slots_of_clinic
from app.bench.server import Cluster
from app.bench.town import CLINIC_ID, Town, id_in_sql
from app.booking.sql import BOOK_SLOT
from app.db import embedded
from app.db.statement import LOCK_TIMEOUT, Statement

# What psycopg sends as parameters, as expressions over pgbench's variables.
_PATIENT = id_in_sql("patient", ":patient")
_DOCTOR = id_in_sql("doctor", ":doctor")
PAGE = 50
# Row-level security lets a job do anything: the limit pays for the policies, and not for telling who asks.
_ON_NOBODYS_BEHALF = "-c telemed.role=system"


@dataclass(frozen=True, slots=True)
class Limit:
    """What pgbench reached."""

    clients: int
    per_second: float
    latency_ms: float
    transactions: int


class PgbenchFailed(Exception):
    """pgbench did not run, or not what it was meant to."""


def bookings(cluster: Cluster, town: Town, *, clients: int, seconds: float, first: int) -> Limit:
    """Book the wishes from number `first` on with the booking's statement."""
    fresh = "gen_random_uuid()"
    values = {
        "clinic_id": str(CLINIC_ID),
        "patient_id": _PATIENT,
        "key": "'bench-' || lpad((:number)::text, 9, '0')",
        "fingerprint": "'\\x" + "00" * 32 + "'::bytea",
        "slot_id": "(:slot)::bigint",
        "consultation_id": fresh,
        "audit_id": fresh,
        "event_id": fresh,
        "request_id": "'bench-request'",
        "lock_timeout": "'2000'",
    }
    script = (
        f"\\set turn :turn + 1\n\\set number {first} + :turn * {clients} + :client_id\n"
        + town.wish_in_pgbench()
        + _with_values(BOOK_SLOT, values)
        + ";\n"
    )
    before = _booked(cluster)
    reached = _pgbench(cluster, script, clients=clients, seconds=seconds)
    if (booked := _booked(cluster) - before) < reached.transactions:
        # A statement that finds its slot taken is quick, and no booking.
        raise PgbenchFailed(f"only {booked:,} of {reached.transactions:,} transactions were bookings")
    return reached


def searches(cluster: Cluster, town: Town, *, clients: int, seconds: float) -> Limit:
    """Read pages of a doctor's open slots, doctors by popularity."""
    values = {
        "clinic_id": str(CLINIC_ID),
        "doctor_id": _DOCTOR,
        "begin": "now()",
        "end": "now() + interval '92 days'",
        "rows": str(PAGE + 1),
    }
    script = (
        f"\\set doctor random({town.popular_doctors}, {town.doctors - 1})\n"
        + _with_values(slots_of_clinic(frozenset({"doctor_id", "open"})), values)
        + ";\n"
    )
    return _pgbench(cluster, script, clients=clients, seconds=seconds)


def _with_values(statement: Statement[Any], values: dict[str, str]) -> str:
    # Also what may share a statement is measured one by one: a client of pgbench is one client.
    alone = {LOCK_TIMEOUT, *(statement.together.alike_by if statement.together else ())}

    def value(match: re.Match[str]) -> str:
        one = f"({values[match[1]]})"
        return one if statement.together is None or match[1] in alone else f"ARRAY[{one}]"

    if set(re.findall(r"%\((\w+)\)s", statement.text)) != values.keys():
        raise PgbenchFailed(f"the parameters of {statement.name} are others now: {statement.text}")
    return re.sub(r"%\((\w+)\)s", value, " ".join(statement.text.split()))


def _pgbench(cluster: Cluster, script: str, *, clients: int, seconds: float) -> Limit:
    file = cluster.data_dir / "pgbench.sql"
    file.write_text(script)
    # Of pgbench itself one thread: it has the place of our load generator.
    words = f"-n -M prepared -c {clients} -j 1 -D turn=0 -T {round(seconds)} -f".split()
    command: list[str | Path] = [embedded.binaries() / "pgbench", *words, file, cluster.url()]
    environment = os.environ | {"PGOPTIONS": _ON_NOBODYS_BEHALF}
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if answer.returncode != 0:
        raise PgbenchFailed(answer.stderr.partition("\n")[0])
    return Limit(
        clients,
        per_second=_told(r"tps = ([\d.]+)", answer.stdout),
        latency_ms=_told(r"latency average = ([\d.]+)", answer.stdout),
        transactions=int(_told(r"actually processed: (\d+)", answer.stdout)),
    )


def _told(pattern: str, output: str) -> float:
    found = re.search(pattern, output)
    if found is None:
        raise PgbenchFailed(f"it said nothing like {pattern}: {output}")
    return float(found[1])


def _booked(cluster: Cluster) -> int:
    with psycopg.connect(cluster.url("postgres")) as connection:
        row = connection.execute("SELECT count(*) FROM consultations WHERE idempotency_key LIKE 'bench-%'").fetchone()
    return row[0] if row else 0
