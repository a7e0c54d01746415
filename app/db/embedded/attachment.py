"""A process's hold on the embedded server."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from app.db.embedded import locks
from app.db.embedded.errors import EmbeddedServerError
from app.db.embedded.layout import PORT, Layout
from app.db.embedded.postmaster import answers, postmaster_pid
from app.db.embedded.report import READY, TAKEN

# Recovery after a crash may replay a gigabyte of WAL.
START_S_MAX = 120.0
CLOSE_S_MAX = 10.0
_POLL_S = 0.02
# Killed once can be bad luck, and the next try heals it.
_SPEECHLESS_MAX = 3
# Where the package `app` lies, so that the keeper finds it whatever the working folder is.
_IMPORT_ROOT = Path(__file__).resolve().parents[3]


def attach(data_dir: Path, *, parameters: Mapping[str, str] = {}) -> "Attachment":
    """A lease on the server of this data folder, made and started when needed; returns when it answers.

    Blocks: a first start takes about a second. `parameters` are server parameters for whoever has to start
    it; a server that already runs keeps its own, and they are ignored. Raises `EmbeddedServerError`.
    """
    attachment = Attachment(Layout.of(data_dir), parameters)
    try:
        attachment.ensure()
    except BaseException:
        attachment.close()
        raise
    return attachment


class Attachment:
    """A lease: the server stays while one is held. The kernel returns it when the process dies."""

    def __init__(self, layout: Layout, parameters: Mapping[str, str]) -> None:
        self._layout = layout
        self._parameters = dict(parameters)
        layout.create()
        self._lease: int | None = layout.open(layout.lease, os.O_RDWR)
        # Waits only while a keeper without users is shutting down; it starts anew for us.
        if not locks.wait_lock(self._lease, shared=True, timeout_s=START_S_MAX):
            raise self._too_slow()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def data_dir(self) -> Path:
        return self._layout.data_dir

    @property
    def log_path(self) -> Path:
        return self._layout.log

    @property
    def pid(self) -> int:
        """The postmaster's pid; another one after a restart."""
        pid = postmaster_pid(self._layout.socket_lock)
        if pid is None:
            raise EmbeddedServerError(f"the server of {self.data_dir} is not running; call ensure()")
        return pid

    def url(self, role: str = "telemed_app", database: str = "telemed") -> str:
        """For libpq. The same for as long as the data folder stays where it is, through any restart."""
        host = quote(str(self._layout.socket_dir), safe="")
        return f"postgresql://{quote(role, safe='')}@/{quote(database, safe='')}?host={host}&port={PORT}"

    def ensure(self) -> None:
        """Bring the server back if it or its keeper has died; a millisecond when all is well."""
        if self._lease is None:
            raise EmbeddedServerError(f"this attachment to {self.data_dir} is closed; attach again")
        if not self._layout.lease.exists() or not os.path.samestat(os.fstat(self._lease), self._layout.lease.stat()):
            raise EmbeddedServerError(
                f"the data folder {self.data_dir} was deleted or replaced while in use; "
                "stop, restore it, and start again"
            )
        if not self._is_up():
            self._bring_up()

    def close(self) -> None:
        """Give the lease back; the last one to do so stops the server and waits for that (CLOSE_S_MAX)."""
        if self._lease is None:
            return
        os.close(self._lease)
        self._lease = None
        if not self._layout.start.exists():
            return
        with (
            locks.held(self._layout, self._layout.start, timeout_s=CLOSE_S_MAX) as is_ours,
            locks.held(self._layout, self._layout.lease, timeout_s=0) as is_last,
        ):
            if is_ours and is_last:
                self._stop_keeper()

    def _bring_up(self) -> None:
        deadline = time.monotonic() + START_S_MAX
        with locks.held(self._layout, self._layout.start, timeout_s=START_S_MAX) as is_ours:
            if not is_ours:
                raise self._too_slow()
            speechless = 0
            while not self._is_up():
                if time.monotonic() > deadline:
                    raise self._too_slow()
                if not locks.is_free(self._layout, self._layout.keeper):
                    time.sleep(_POLL_S)
                elif not self._start_keeper(deadline - time.monotonic()):
                    speechless += 1
                    if speechless == _SPEECHLESS_MAX:
                        raise EmbeddedServerError(
                            f"the embedded server's keeper ends without a word; read {self.log_path}"
                        )

    def _is_up(self) -> bool:
        # A server without a keeper still answers for an instant after the keeper was killed.
        return answers(self._layout) and not locks.is_free(self._layout, self._layout.keeper)

    def _start_keeper(self, timeout_s: float) -> str:
        """Start a keeper and wait for its word, which is empty when it was killed."""
        # No preexec_fn here: this process may have threads.
        settings = [f"{name}={value}" for name, value in self._parameters.items()]
        path = os.pathsep.join(filter(None, (str(_IMPORT_ROOT), os.environ.get("PYTHONPATH"))))
        log = self._layout.open(self._layout.log, os.O_WRONLY | os.O_APPEND)
        try:
            starter = subprocess.Popen(
                # -P: the working folder, here the data folder, is no place to import from.
                [sys.executable, "-P", "-m", "app.db.embedded.keeper", str(self.data_dir), *settings],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self.data_dir,
                env={**os.environ, "PYTHONPATH": path},
                start_new_session=True,
            )
        finally:
            os.close(log)
        with starter:
            try:
                word = starter.communicate(timeout=timeout_s)[0].decode().strip()
            except subprocess.TimeoutExpired:
                raise self._too_slow() from None
        if word not in {READY, TAKEN, ""}:
            raise EmbeddedServerError(word)
        return word

    def _stop_keeper(self) -> None:
        fd = self._layout.open(self._layout.keeper, os.O_RDWR)
        try:
            pid = locks.holder(fd)
            if pid is not None and not locks.try_lock(fd):
                # It may be another user's, when root attached: then it notices by itself.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGTERM)
                locks.wait_lock(fd, timeout_s=CLOSE_S_MAX)
        finally:
            os.close(fd)

    def _too_slow(self) -> EmbeddedServerError:
        return EmbeddedServerError(
            f"the embedded server was not ready within {START_S_MAX:.0f} s; read {self.log_path}"
        )
