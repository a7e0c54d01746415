"""The server that is measured: a fresh embedded PostgreSQL, and `telemed serve` on it as everybody starts it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from app.db import embedded, migrate
from app.db.embedded.attachment import Attachment

READY_S_MAX = 60.0
STOP_S_MAX = 40.0
_POLL_S = 0.02
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Cluster:
    """A migrated, empty embedded server in a folder of its own; it goes with the folder."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._attachment: Attachment | None = None

    def __enter__(self) -> Self:
        self._attachment = embedded.attach(self.data_dir)
        migrate.upgrade(self.url("telemed_owner"), app_role="telemed_app")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._attachment is not None:
            self._attachment.close()

    def url(self, role: str = "telemed_app") -> str:
        """Where libpq finds it."""
        assert self._attachment is not None, "entered"
        return self._attachment.url(role)

    @property
    def postmaster(self) -> int:
        """The pid whose children work for us."""
        assert self._attachment is not None, "entered"
        return self._attachment.pid


class Serve:
    """`telemed serve --workers N` on a cluster, as a process."""

    def __init__(
        self, cluster: Cluster, *, workers: int, environment: dict[str, str] | None = None, module: str = "app.cli"
    ) -> None:
        self._cluster = cluster
        self._workers = workers
        self._environment = environment or {}
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()

    def __enter__(self) -> Self:
        log = self._cluster.data_dir / "serve.log"
        with log.open("ab") as file:
            self._process = subprocess.Popen(  # noqa: S603 - ourselves
                [sys.executable, "-m", self._module, "serve", "--port", str(self.port), "--workers", str(self._workers)],
                env={**os.environ, "TELEMED_DATA_DIR": str(self._cluster.data_dir), **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None, "entered"
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def pids(self) -> list[int]:
        """The processes that serve."""
        assert self._process is not None, "entered"
        serving = [pid for pid in children_of(self._process.pid) if "spawn_main" in _command_of(pid)]
        return serving or [self._process.pid]

    def _wait_until_ready(self) -> None:
        assert self._process is not None, "entered"
        deadline = time.monotonic() + READY_S_MAX
        while time.monotonic() < deadline:
            with contextlib.suppress(urllib.error.URLError, OSError):
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/ready", timeout=5):
                    return
            assert self._process.poll() is None, f"telemed serve has ended; read {self._cluster.data_dir}/serve.log"
            time.sleep(_POLL_S)
        raise AssertionError(f"telemed serve is not ready after {READY_S_MAX:.0f} s")


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor seconds so far, by who spent them."""

    postgres: float
    python: float

    def __sub__(self, other: "Usage") -> "Usage":
        return Usage(self.postgres - other.postgres, self.python - other.python)


def usage(cluster: Cluster, serve: Serve) -> Usage:
    """What PostgreSQL and the serving processes have spent; backends that ended count too."""
    return Usage(
        postgres=_cpu_seconds(cluster.postmaster, with_ended=True)
        + sum(_cpu_seconds(pid) for pid in children_of(cluster.postmaster)),
        python=sum(_cpu_seconds(pid) for pid in serve.pids()),
    )


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES / 1e6


def children_of(pid: int) -> list[int]:
    """The processes that `pid` has started."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def _cpu_seconds(pid: int, *, with_ended: bool = False) -> float:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        # utime and stime, and those of children that were waited for.
        return sum(int(ticks) for ticks in fields[11 : 15 if with_ended else 13]) / _TICKS
    return 0.0


def _command_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
