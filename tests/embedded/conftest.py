"""Real servers, real processes, real kills. Nothing may be left over when a test ends."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.db.embedded import Attachment, attach

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("attached.py")
UNSAFE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "shared_buffers": "16MB"}


def eventually(holds: Callable[[], bool], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.02)


class House:
    """One data folder and every process that lives on it."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.attachments: list[Attachment] = []
        self.children: list[subprocess.Popen[str]] = []

    def attach(self, **parameters: str) -> Attachment:
        attachment = attach(self.data_dir, parameters={**UNSAFE, **parameters})
        self.attachments.append(attachment)
        return attachment

    def spawn(self, *arguments: str, prefix: tuple[str, ...] = (), python: str = sys.executable) -> "subprocess.Popen[str]":
        child = subprocess.Popen(
            [*prefix, python, str(SCRIPT), str(self.data_dir), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), sysconfig.get_path("platlib")])},
        )
        self.children.append(child)
        return child

    def say_of(self, child: "subprocess.Popen[str]") -> dict[str, Any]:
        assert child.stdout
        answer: dict[str, Any] = json.loads(child.stdout.readline())
        return answer

    def leave(self, child: "subprocess.Popen[str]") -> None:
        child.communicate(timeout=30)

    @property
    def keeper_pid(self) -> int:
        return int((self.data_dir / "keeper.lock").read_text())

    def processes(self) -> list[int]:
        """Whoever works inside the folder: the keeper in it, PostgreSQL in its cluster."""
        found = []
        for link in Path("/proc").glob("[0-9]*/cwd"):
            with contextlib.suppress(OSError):
                if link.readlink().is_relative_to(self.data_dir):
                    found.append(int(link.parent.name))
        return found

    def is_deserted(self) -> bool:
        return not self.processes()

    def clear(self) -> None:
        for attachment in self.attachments:
            attachment.close()
        for child in self.children:
            child.kill()
            child.communicate()


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


@pytest.fixture(name="eventually")
def eventually_fixture() -> Callable[..., None]:
    return eventually


@pytest.fixture
def ask() -> Callable[..., Any]:
    """One statement on a connection of its own, committed; its first value."""

    def ask(url: str, statement: str) -> Any:
        with psycopg.connect(url) as connection:
            cursor = connection.execute(statement)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    return ask
