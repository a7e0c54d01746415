"""`telemed tidy`: drops what the operator no longer wants to keep of the audit log, and nothing else."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.db import embedded
from tests.cli.home import Home
from tests.conftest import SECRET_KEY, cloned
from tests.worker.house import first_of, last_of, month

ROW = (
    "INSERT INTO audit_logs (clinic_id, id, occurred_at, action, entity_type, outcome, request_id)"
    " VALUES (1, gen_random_uuid(), %s, 'user.created', 'user', 'success', 'test')"
)
OLD = [-40, -13, -12, -1]


class Archive:
    """A database whose audit log goes back for years, and a home that works on it."""

    def __init__(self, folder: Path, url: str, owner: psycopg.Connection[Any]) -> None:
        self.folder, self.url, self.owner = folder, url, owner

    def keeping(self, months: int) -> Home:
        return Home(self.folder, DATABASE_URL=self.url, SECRET_KEY=SECRET_KEY, AUDIT_KEEP_MONTHS=str(months))

    def rows(self, what: str = "created") -> list[str]:
        """The months (`2020_01`) of the rows, oldest first; or, of the rows that tell of a month, that month."""
        query = {
            "created": "SELECT to_char(occurred_at, 'YYYY_MM') FROM audit_logs WHERE action = 'user.created'"
            " ORDER BY occurred_at",
            "dropped": "SELECT entity_id FROM audit_logs WHERE action = 'audit_month.dropped' AND clinic_id = 1"
            " ORDER BY entity_id",
        }[what]
        return [row[0] for row in self.owner.execute(query.encode())]


@pytest.fixture
def archive(postgres: embedded.Attachment, tmp_path: Path) -> Iterator[Archive]:
    name = f"archive_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    with cloned(postgres, name) as url, psycopg.connect(url, autocommit=True, options="-c timezone=UTC") as owner:
        for ahead in OLD:
            owner.execute("SELECT make_month('audit_logs', %s::date)", [first_of(ahead)])
            owner.execute(ROW, [last_of(ahead)])
        yield Archive(tmp_path, url, owner)


def told(*ahead: int) -> list[str]:
    return [month(number).replace("_", "-") for number in ahead]


def test_everything_is_kept_for_ever_by_default(archive: Archive) -> None:
    assert "kept for ever" in archive.keeping(0).telemed("tidy").stdout
    assert archive.rows() == [month(ahead) for ahead in OLD]


def test_older_months_are_dropped_whole_and_the_log_says_so(archive: Archive) -> None:
    said = archive.keeping(12).telemed("tidy").stdout
    assert said == f"Dropped {', '.join(told(-40, -13))}.\n"
    assert archive.rows() == [month(-12), month(-1)]
    assert archive.rows("dropped") == told(-40, -13)
    assert archive.keeping(12).telemed("tidy").stdout == "Nothing to drop.\n"
    assert archive.rows("dropped") == told(-40, -13)


def test_dry_run_drops_nothing(archive: Archive) -> None:
    assert archive.keeping(1).telemed("tidy", "--dry-run").stdout == f"Would drop {', '.join(told(-40, -13, -12))}.\n"
    assert archive.rows() == [month(ahead) for ahead in OLD]
    assert archive.rows("dropped") == []


def test_row_outside_of_every_month_is_kept(archive: Archive) -> None:
    archive.owner.execute(ROW, [first_of(-100)])
    archive.keeping(12).telemed("tidy")
    assert archive.rows() == [month(-100), month(-12), month(-1)]


def test_busy_log_is_told_in_one_line_and_left_as_it_is(archive: Archive) -> None:
    with archive.owner.transaction():
        archive.owner.execute(ROW, [first_of(0)])
        assert "again" in archive.keeping(12).refuses("tidy")
    assert archive.rows() == [*[month(ahead) for ahead in OLD], month(0)]


@pytest.mark.parametrize("value", [-1, 1201])
def test_number_that_is_none_of_months_stops_the_command(archive: Archive, value: int) -> None:
    assert "AUDIT_KEEP_MONTHS" in archive.keeping(value).refuses("tidy")
