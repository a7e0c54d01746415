"""What a figure was measured on."""

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psycopg

from app.bench.server import Cluster

PACKAGES = ("telemed", "fastapi", "starlette", "pydantic", "uvicorn", "uvloop", "httptools", "psycopg", "sqlalchemy")
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Machine:
    """The computer, what runs on it, and the commit."""

    cpu: str
    cores: int
    memory_gb: float
    kernel: str
    # What else the machine was doing when we began.
    load_before: float
    python: str
    postgresql: str
    packages: dict[str, str]
    commit: str


def describe(cluster: Cluster) -> Machine:
    """This machine, with the PostgreSQL that the cluster runs."""
    return Machine(
        cpu=_field("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=round(int((_field("/proc/meminfo", "MemTotal") or "0").split()[0]) / 1e6, 1),
        kernel=f"{platform.system()} {platform.release()}",
        load_before=round(os.getloadavg()[0], 2),
        python=platform.python_version(),
        postgresql=_postgresql(cluster),
        packages={name: found for name in PACKAGES if (found := _version(name))},
        commit=commit(_ROOT),
    )


def commit(root: Path) -> str:
    """The commit of this checkout, marked if files differ from it; where there is no git, that."""
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return "not a git checkout"

    def ask(*words: str) -> str:
        answer = subprocess.run([git, "-C", root, *words], capture_output=True, text=True, check=False)  # noqa: S603
        return answer.stdout.strip()

    is_dirty = ask("status", "--porcelain", "--untracked-files=no")
    return (ask("rev-parse", "--short=12", "HEAD") or "unknown") + (" (with local changes)" if is_dirty else "")


def _postgresql(cluster: Cluster) -> str:
    with psycopg.connect(cluster.url("postgres")) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    return str(row[0]) if row else "unknown"


def _field(path: str, name: str) -> str | None:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), None)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
