"""The limit: PostgreSQL's own pgbench with the very SQL of a booking and of a slot search, prepared."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.availability.sql import slots_of_clinic
from app.bench.server import Cluster
from app.bench.town import CLINIC_ID, Town, id_in_sql
from app.booking.sql import BOOK_SLOT
from app.db import embedded
from app.db.statement import Statement

# What psycopg sends as parameters, as expressions over pgbench's variables.
_PATIENT = id_in_sql("patient", ":patient")
_DOCTOR = id_in_sql("doctor", ":doctor")
PAGE = 50


@dataclass(frozen=True, slots=True)
class Limit:
    """What pgbench reached."""

    clients: int
    per_second: float
    latency_ms: float


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
    return _pgbench(cluster, script, clients=clients, seconds=seconds)


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
    def value(match: re.Match[str]) -> str:
        one = f"({values[match[1]]})"
        return f"ARRAY[{one}]" if statement.apart_by and match[1] != "lock_timeout" else one

    assert set(re.findall(r"%\((\w+)\)s", statement.text)) == values.keys(), statement.text
    return re.sub(r"%\((\w+)\)s", value, " ".join(statement.text.split()))


def _pgbench(cluster: Cluster, script: str, *, clients: int, seconds: float) -> Limit:
    file = cluster.data_dir / "pgbench.sql"
    file.write_text(script)
    command: list[str | Path] = [
        embedded.binaries() / "pgbench",
        "-n",
        "-M",
        "prepared",
        "-c",
        str(clients),
        "-j",
        "1",
        "-D",
        "turn=0",
    ]
    command += ["-T", str(round(seconds)), "-f", file, cluster.url()]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert answer.returncode == 0, answer.stderr.partition("\n")[0]
    tps = re.search(r"tps = ([\d.]+)", answer.stdout)
    latency = re.search(r"latency average = ([\d.]+)", answer.stdout)
    assert tps, answer.stdout
    assert latency, answer.stdout
    return Limit(clients, float(tps[1]), float(latency[1]))
