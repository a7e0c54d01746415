"""Real servers, real processes, real kills. Nothing may be left over when a test ends."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.embedded.house import Ask, House, eventually


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "data")
    yield house
    house.clear()
    try:
        eventually(house.is_deserted)
    finally:
        for pid in house.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def ask() -> Ask:
    """One statement on a connection of its own, committed; its first value."""

    def ask(url: str, statement: str) -> Any:
        with psycopg.connect(url) as connection:
            cursor = connection.execute(statement)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    return ask
