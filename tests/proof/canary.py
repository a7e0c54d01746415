"""What is left of people after the whole quick suite: in logs nothing, on the disk no clinical text.

Every text that a test sends is a canary: `tests/proof/canaries.py` notes them, keeps what the application logs, and
keeps the databases. Then this looks for them in the logs, in PostgreSQL's own, and in the files and the dumps.
Alone: `python -m tests.proof canary [--short]`.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import psycopg

from app.db import embedded
from app.db.embedded import installation
from tests.proof import canaries
from tests.proof.figures import Figure, Scenario, at_least, exactly, none, told

SUITE_SECONDS_MAX = 3_600
SUITE = "suite"
FILES_AT_ONCE = 1_000


def run(*, tests: list[str], canaries_min: int) -> list[Figure]:
    """The suite, then the search."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        ended = _suite(base, tests)
        noted = [json.loads(line) for path in base.glob("canaries.*") for line in path.read_text().splitlines()]
        clinical, personal = (
            {text for name, text in noted if canaries.KINDS[name] == kind}
            for kind in (canaries.CLINICAL, canaries.PERSONAL)
        )
        # A word that is also a name or a specialty says nothing of where it was found.
        clinical -= personal
        logs = [*base.glob("logs.*"), *base.rglob("*.log"), *base.rglob("*.log.1")]
        dumps = _dumped(base / SUITE / "postgres", base)
        # Of the suite's server, and of those that single tests start.
        data_dirs = {path.parent for path in base.rglob("postgres.log")}
        files = [path for folder in data_dirs for path in folder.rglob("*") if path.is_file() and path not in logs]
        wal = [path for path in files if path.parent.name == "pg_wal"]
        in_logs = _found(clinical | personal, logs)
        on_disk, dumped = _found(clinical, files), _found(clinical, dumps)
        for where, text in {*in_logs, *on_disk, *dumped}:
            print(f"     {where.relative_to(base)}: {text!r}")
        return [
            none("tests that failed", ended),
            exactly("fields with a canary", len({name for name, _ in noted}), len(canaries.KINDS)),
            at_least("clinical canaries", len(clinical), canaries_min),
            at_least("personal canaries", len(personal), canaries_min),
            told("logs searched, MB", _megabytes(logs)),
            at_least("  of them what the application wrote, MB", _megabytes(base.glob("logs.*")), 0.1),
            none("canaries of any kind in logs", len(in_logs)),
            told("data directories searched, MB", _megabytes(files)),
            at_least("  of it write-ahead log, MB", _megabytes(wal), 1),
            none("clinical canaries in them", len(on_disk)),
            told("dumps searched, MB", _megabytes(dumps)),
            none("clinical canaries in dumps", len(dumped)),
            # The search finds what is there: names are not encrypted.
            at_least("personal canaries in the dumps", len(_found(personal, dumps)), canaries_min),
        ]


def _suite(base: Path, tests: list[str]) -> int:
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-m", "not proof", "-p", "tests.proof.canaries"]
    environment = {**os.environ, canaries.FOLDER: str(base)}
    ended = subprocess.run(
        [*command, f"--basetemp={base / SUITE}", *tests],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        timeout=SUITE_SECONDS_MAX,
        check=False,
    )
    if ended.returncode:
        print(ended.stdout[-4_000:])
    return ended.returncode


def _dumped(data_dir: Path, base: Path) -> list[Path]:
    """A dump of each database that the tests left, with all its texts as texts."""
    pg_dump = installation.binaries() / "pg_dump"
    made = []
    with embedded.attach(data_dir) as postgres:
        with psycopg.connect(postgres.url("postgres", "postgres")) as connection:
            names = connection.execute("SELECT datname FROM pg_database WHERE datallowconn").fetchall()
        for (name,) in names:
            path = base / f"{name}.sql"
            subprocess.run([pg_dump, "--inserts", f"--file={path}", postgres.url("postgres", name)], check=True)
            made.append(path)
    return made


def _found(texts: set[str], paths: Iterable[Path]) -> set[tuple[Path, str]]:
    """In which files which of the texts are: as they are, in the escapes of JSON, or as hexadecimal digits."""
    patterns = {form: text for text in texts for form in _forms(text)}
    with tempfile.NamedTemporaryFile() as listed:
        listed.write(b"\n".join(patterns))
        listed.flush()
        grep = ["grep", "--text", "--only-matching", "--with-filename", "--null", "--fixed-strings"]
        found, rest = set[tuple[Path, str]](), [str(path) for path in paths]
        while batch := rest[:FILES_AT_ONCE]:
            del rest[:FILES_AT_ONCE]
            command = [*grep, f"--file={listed.name}", *batch]
            hits = subprocess.run(command, stdout=subprocess.PIPE, env={"LC_ALL": "C"}, check=False).stdout
            for hit in set(hits.splitlines()):
                place, _, text = hit.partition(b"\0")
                found.add((Path(os.fsdecode(place)), patterns[text]))
        return found


def _forms(text: str) -> Iterator[bytes]:
    encoded = text.encode()
    yield encoded
    yield json.dumps(text)[1:-1].encode()
    yield encoded.hex().encode()


def _megabytes(paths: Iterable[Path]) -> float:
    return sum(path.stat().st_size for path in paths) / 1e6


CANARY = Scenario(
    "canary",
    run,
    short={
        "tests": [
            "tests/prescription",
            "tests/breakglass",
            "tests/observability",
            "tests/identity/test_post_auth_password.py",
        ],
        "canaries_min": 8,
    },
    full={"tests": ["tests"], "canaries_min": 25},
)
