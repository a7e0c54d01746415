"""One data folder, its processes, and waiting for them."""

import contextlib
import json
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from app.db.embedded import Attachment, attach


class Ask(Protocol):
    def __call__(self, url: str, statement: str) -> Any: ...


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

    def spawn(
        self, *arguments: str, prefix: tuple[str, ...] = (), python: str = sys.executable
    ) -> "subprocess.Popen[str]":
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
