"""`telemed serve` as its users run it: a process, a port, a data folder."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self
from urllib.error import URLError
from urllib.request import urlopen

from app.db import embedded
from app.db.embedded.layout import Layout
from app.db.embedded.postmaster import postmaster_pid

ROOT = Path(__file__).resolve().parents[2]
SECRET_KEY = "only-for-proofs-0123456789-abcdefghijklmnopqrstuvwxyz"
READY_S_MAX = 60.0
_POLL_S = 0.02


def eventually(holds: Callable[[], bool], *, within_s: float) -> float:
    """Seconds until it holds; fails loudly after `within_s`."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < within_s, f"not within {within_s} s"
        time.sleep(_POLL_S)
    return time.monotonic() - started


class Served:
    """One `telemed serve`, on the embedded server of `home` or on `database_url`; can be killed and started again."""

    def __init__(self, home: Path, *, workers: int = 1, database_url: str | None = None) -> None:
        self.home = home.resolve()
        self.data_dir = self.home / "data"
        self.log = self.home / "serve.log"
        self.port = free_port()
        self.workers = workers
        self._database_url = database_url
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        try:
            eventually(lambda: not self.processes(), within_s=30)
        finally:
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "serve", "--port", str(self.port), "--workers", str(self.workers)],
                cwd=self.home,
                env=environment(self.data_dir, self._database_url),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A process group of its own, so that Ctrl-C can be sent to all of it and to nobody else.
                start_new_session=True,
            )

    def wait_until_ready(self) -> float:
        """Seconds until it answers that it is ready."""
        return eventually(lambda: self.is_ready() or self._has_ended(), within_s=READY_S_MAX)

    def is_ready(self) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/health/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def kill(self) -> None:
        """`kill -9`, of this one process only."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def interrupt(self) -> None:
        """Ctrl-C: the terminal sends it to the whole process group."""
        os.killpg(self.pid, signal.SIGINT)

    def terminate(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    def wait(self, timeout_s: float) -> int:
        assert self.process is not None
        return self.process.wait(timeout_s)

    def stop(self) -> None:
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.terminate()
        try:
            self.wait(40)
        except subprocess.TimeoutExpired:
            self.kill()

    @property
    def layout(self) -> Layout:
        return Layout.of(self.data_dir)

    @property
    def postmaster_pid(self) -> int:
        pid = postmaster_pid(self.layout.socket_lock)
        assert pid is not None
        return pid

    @property
    def keeper_pid(self) -> int:
        return int(self.layout.keeper.read_text())

    def database(self) -> embedded.Attachment:
        """A lease on its embedded server, for looking at the tables, also when nobody serves."""
        return embedded.attach(self.data_dir)

    def processes(self) -> list[int]:
        """Every process that works in the home: the command, its workers, the keeper, PostgreSQL."""
        found = []
        for link in Path("/proc").glob("[0-9]*/cwd"):
            with contextlib.suppress(OSError):
                if link.readlink().is_relative_to(self.home) and int(link.parent.name) != os.getpid():
                    found.append(int(link.parent.name))
        return found

    def errors_logged(self) -> list[str]:
        """What looks like a bug in the log: errors of ours, tracebacks of anybody."""
        said = self.log.read_text(errors="replace").splitlines()
        return [line for line in said if _is_error(line) or line.startswith("Traceback")]

    def _has_ended(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"telemed serve ended:\n{self.log.read_text(errors='replace')[-2000:]}")
        return False


def _is_error(line: str) -> bool:
    try:
        return bool(json.loads(line)["level"] == "error")
    except (ValueError, KeyError, TypeError):
        return False


def environment(data_dir: Path, database_url: str | None = None) -> dict[str, str]:
    """What a serving process of a proof finds in its environment."""
    found = {name: value for name, value in os.environ.items() if name not in {"PEPPER", "DATABASE_URL"}}
    found |= {
        "PYTHONPATH": str(ROOT),
        "SECRET_KEY": SECRET_KEY,
        "TELEMED_DATA_DIR": str(data_dir),
        "BCRYPT_COST": "4",
        "LOG_LEVEL": "warning",
        "RATE_LIMITS": "off",
        "BOOKINGS_AHEAD_MAX": "0",
    }
    if database_url is not None:
        found["DATABASE_URL"] = database_url
    return found


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
