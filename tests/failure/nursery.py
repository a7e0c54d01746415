"""Serving processes that can be killed and started again in a tenth of a second; see `launcher.py`."""

import asyncio
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.failure.launcher import LAST_WORD
from tests.proof.served import environment, free_port
from tests.proof.wire import Line, Refused

START_S_MAX = 30.0
NEVER = -1
_POLL_S = 0.005


class Nursery:
    """Where serving processes come from; `home` gets their log."""

    def __init__(self, home: Path, database_url: str) -> None:
        self.log = home / "serve.log"
        self._home, self._database_url = home, database_url
        self._launcher: subprocess.Popen[bytes] | None = None
        self._children: set[int] = set()

    def __enter__(self) -> Self:
        with self.log.open("ab") as log:
            self._launcher = subprocess.Popen(
                [sys.executable, "-m", "tests.failure.launcher"],
                cwd=self._home,
                env=environment(self._home, self._database_url),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._launcher is not None
        for pid in list(self._children):
            self.kill(pid)
        assert self._launcher.stdin is not None
        self._launcher.stdin.close()
        self._launcher.wait(30)
        assert self._launcher.stdout is not None
        self._launcher.stdout.close()

    def bear(self, port: int, *, point: int = NEVER) -> int:
        """The process id of a new one, which will listen on `port`."""
        pid = self._order(f"start {port} {point}")
        self._children.add(pid)
        return pid

    def kill(self, pid: int) -> None:
        """`kill -9`, if it has not done that itself."""
        self._children.discard(pid)
        self._order(f"kill {pid}")

    def last_words(self, pid: int) -> str:
        """Where it killed itself."""
        opening = f"{LAST_WORD} {pid} "
        said = self.log.read_text(errors="replace").splitlines()
        return next((line.removeprefix(opening) for line in reversed(said) if line.startswith(opening)), "")

    def _order(self, order: str) -> int:
        assert self._launcher is not None
        assert self._launcher.stdin is not None
        assert self._launcher.stdout is not None
        self._launcher.stdin.write(f"{order}\n".encode())
        self._launcher.stdin.flush()
        return int(self._launcher.stdout.readline())

    async def start(self, port: int, *, point: int = NEVER) -> int:
        """As `bear`, and wait until it accepts connections."""
        pid = self.bear(port, point=point)
        deadline = time.monotonic() + START_S_MAX
        while True:
            with suppress(Refused):
                (await Line(port).open()).close()
                return pid
            assert time.monotonic() < deadline, f"nobody listens on port {port}"
            await asyncio.sleep(_POLL_S)

    @staticmethod
    def new_port() -> int:
        return free_port()
