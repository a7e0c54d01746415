"""A clinic in a database of its own, whose worker works when it is told to."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from app.db import embedded
from app.worker import Worker
from tests.cast import Clinic
from tests.conftest import apart

# No test comes within a minute of a month's end by accident: both sides read the same clock.
NOW = datetime.now(UTC)


@dataclass
class House:
    """What the clinic's people see, and what its owner does behind their backs."""

    clinic: Clinic
    owner: psycopg.Connection[Any]

    def works(self) -> None:
        """One round of the worker."""
        works(self.clinic)

    def asks(self, query: str, *values: object) -> list[Any]:
        """The first column of what the owner is told."""
        return [row[0] for row in self.owner.execute(query.encode(), values)]

    def months(self, table: str) -> list[str]:
        """The months (`2020_01`) that the table has."""
        return self.asks(
            "SELECT right(inhrelid::regclass::text, 7) FROM pg_inherits WHERE inhparent = %s::regclass"
            " AND inhrelid::regclass::text ~ '_[0-9]{4}_[0-9]{2}$' ORDER BY 1",
            table,
        )


@contextmanager
def opened(postgres: embedded.Attachment, name: str) -> Iterator[House]:
    with (
        apart(postgres, name) as (clinic, superuser_url),
        psycopg.connect(superuser_url, autocommit=True, options="-c role=telemed_owner") as owner,
    ):
        yield House(clinic, owner)


def works(clinic: Clinic) -> None:
    """One round of the worker of the clinic's application."""
    app: Any = clinic.client.app
    assert clinic.client.portal is not None
    clinic.client.portal.call(Worker(app.state.db).run_round)


def month(ahead: int) -> str:
    """The month (`2020_01`) that lies so many months ahead, or back."""
    index = NOW.year * 12 + NOW.month - 1 + ahead
    return f"{index // 12:04d}_{index % 12 + 1:02d}"


def first_of(ahead: int) -> datetime:
    """The first moment of that month."""
    year, number = map(int, month(ahead).split("_"))
    return datetime(year, number, 1, tzinfo=UTC)


def last_of(ahead: int) -> datetime:
    """The last moment of that month."""
    return first_of(ahead + 1) - timedelta(microseconds=1)
