"""The server that is measured: a fresh embedded PostgreSQL, and `telemed serve` on it as everybody starts it."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from app.db import embedded, migrate
from app.db.embedded.attachment import Attachment
from app.settings import Settings

# Where the package `app` lies, so that its modules are found whatever the working folder is.
_IMPORT_ROOT = Path(__file__).resolve().parents[2]
READY_S_MAX = 60.0
STOP_S_MAX = 40.0
_POLL_S = 0.02
# Everybody's requests come from the generator's address; they are counted, as always.
_ONE_NETWORK = {"RATE_LIMIT_NETWORK": "100000000", "RATE_LIMIT_IDENTITY": "100000000"}
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class ServerFailed(Exception):
    """A measured server did not start, or did not stay."""


class Cluster:
    """A migrated, empty embedded server in a folder of its own; it goes with the folder."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._attachment: Attachment | None = None

    def __enter__(self) -> Self:
        self._attachment = embedded.attach(self.data_dir)
        self._make_secret()
        migrate.upgrade(self.url("telemed_owner"), app_role="telemed_app")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._attachment is not None:
            self._attachment.close()

    def url(self, role: str = "telemed_app") -> str:
        """Where libpq finds it."""
        return self._attached.url(role)

    @property
    def postmaster(self) -> int:
        """The pid whose children work for us."""
        return self._attached.pid

    @property
    def secret(self) -> str:
        """What signs the tokens of this data folder."""
        return (self.data_dir / "secret_key").read_text().strip()

    @property
    def _attached(self) -> Attachment:
        if self._attachment is None:
            raise ServerFailed("used before it was attached to")
        return self._attachment

    def _make_secret(self) -> None:
        """The secret that `telemed serve` will find: the town's passwords are hashed with it before it starts."""
        path = self.data_dir / "secret_key"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(48) + "\n")


class Running:
    """A web server as a process of its own, until the block ends."""

    def __init__(
        self, command: Sequence[str | Path], *, port: int, log: Path, environment: dict[str, str], ready_path: str
    ) -> None:
        self.port = port
        self._command = command
        self._log = log
        self._environment = environment
        self._ready = f"http://127.0.0.1:{port}{ready_path}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("ab") as file:
            self._process = subprocess.Popen(  # noqa: S603 - ourselves
                self._command,
                # Not where somebody's `.env` may lie.
                cwd=self._log.parent,
                env=clean_environment() | self._environment,
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
        with contextlib.suppress(ProcessLookupError):
            self._running.send_signal(signal.SIGTERM)
        try:
            self._running.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._running.kill()
            self._running.wait()

    def pids(self) -> list[int]:
        """The processes that serve."""
        serving = [pid for pid in children_of(self._running.pid) if "spawn_main" in _command_of(pid)]
        return serving or [self._running.pid]

    @property
    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise ServerFailed("used before it was started")
        return self._process

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_S_MAX
        while time.monotonic() < deadline:
            with (
                contextlib.suppress(urllib.error.URLError, OSError),
                urllib.request.urlopen(self._ready, timeout=5),  # noqa: S310 - our own address
            ):
                return
            if self._running.poll() is not None:
                raise ServerFailed(f"it has ended; the end of {self._log}:\n{self._log.read_text()[-2000:]}")
            time.sleep(_POLL_S)
        raise ServerFailed(f"it is not ready after {READY_S_MAX:.0f} s; read {self._log}")


class Serve(Running):
    """`telemed serve --workers N` on a cluster; `sampled` names the file for its profile."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        workers: int,
        environment: dict[str, str] | None = None,
        sampled: Path | None = None,
    ) -> None:
        port = _free_port()
        module = ["app.cli"] if sampled is None else ["app.cli.profiled", sampled]
        super().__init__(
            [sys.executable, "-m", *module, "serve", "--port", str(port), "--workers", str(workers)],
            port=port,
            log=cluster.data_dir / "serve.log",
            environment={"TELEMED_DATA_DIR": str(cluster.data_dir), **_ONE_NETWORK, **(environment or {})},
            ready_path="/health/ready",
        )


class Bare(Running):
    """The least that the same framework can do, to know the machine by: `app/bench/bare.py` under uvicorn."""

    def __init__(self, folder: Path, *, workers: int) -> None:
        port = _free_port()
        module = ["uvicorn", "--factory", "app.bench.bare:create_app", "--no-access-log", "--log-level", "error"]
        super().__init__(
            [sys.executable, "-m", *module, "--port", str(port), "--workers", str(workers)],
            port=port,
            log=folder / "bare.log",
            environment={},
            ready_path="/",
        )


def clean_environment() -> dict[str, str]:
    """Ours, without anything that would point the measured server to somebody's database or secrets."""
    settings = {name.upper() for name in Settings.model_fields}
    settings |= {f"{name}_FILE" for name in settings}
    kept = {name: value for name, value in os.environ.items() if name.upper() not in settings}
    return kept | {"PYTHONPATH": str(_IMPORT_ROOT)}


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor seconds so far, by who spent them."""

    postgres: float
    python: float

    def __sub__(self, other: "Usage") -> "Usage":
        return Usage(self.postgres - other.postgres, self.python - other.python)


def usage(cluster: Cluster, serve: Running) -> Usage:
    """What PostgreSQL and the serving processes have spent; backends that ended count too."""
    return Usage(
        postgres=_cpu_seconds(cluster.postmaster, with_ended=True)
        + sum(_cpu_seconds(pid) for pid in children_of(cluster.postmaster)),
        python=sum(_cpu_seconds(pid) for pid in serve.pids()),
    )


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES / 1e6


def open_files(pid: int) -> int:
    """How many files and sockets a process holds."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


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
