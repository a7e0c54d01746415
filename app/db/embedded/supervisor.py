"""Keeping one server up for as long as somebody needs it."""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

from app.db.embedded import locks
from app.db.embedded.errors import EmbeddedServerError
from app.db.embedded.layout import Layout
from app.db.embedded.postmaster import Server, answers, stop
from app.db.embedded.report import READY, note, say

POLL_S = 0.2
READY_POLL_S = 0.01
# Long enough for the next command to come when the last one was killed.
IDLE_S_MAX = 1.0
# Waits of 0.1, 0.2, 0.4 … 3.2 s between failing starts: half a minute in all, then it is `ensure`'s turn.
STARTS_MAX = 13
BACK_OFF_FIRST_S = 0.1
BACK_OFF_S_MAX = 3.2
# Up this long, a server counts as sound again.
SOUND_S = 10.0
LOG_BYTES_MAX = 10 * 1024 * 1024
# What PostgreSQL says while backends of its killed predecessor are still about. They leave; other reasons
# stay.
PASSING_REASONS = ("is still in use", "lock file")


class Supervisor:
    """Runs one server until nobody needs it."""

    def __init__(self, layout: Layout, server: Server) -> None:
        self._layout = layout
        self._server = server
        self._stop_asked = False
        self._was_ready = False
        self._idle_since: float | None = None
        # A signal ends a pause at once; time.sleep would go on after the handler.
        self._woken, waker = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker)
        for sig in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sig, self._ask_to_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._lease = layout.open(layout.lease, os.O_RDWR)
        self._start = layout.open(layout.start, os.O_RDWR)

    def run(self) -> None:
        """Start the server, say so, keep it up; returns when it has been stopped.

        Raises `EmbeddedServerError` when it can't be started, or not any more.
        """
        failures = 0
        while not self._stop_asked:
            started = time.monotonic()
            log_start = size_of(self._layout.log)
            process = self._server.start()
            if self._becomes_ready(process):
                self._was_ready = True
                say(READY)
                self._watch(process)
            if process.poll() is None:
                stop(process)
                return
            failures = 1 if time.monotonic() - started > SOUND_S else failures + 1
            note(f"PostgreSQL ended by itself with {process.returncode}, {failures} of {STARTS_MAX}")
            self._judge(failures, last_words(self._layout.log, log_start))
            # The first restart is immediate; later ones give left-over backends time to leave.
            if failures > 1:
                self._pause(min(BACK_OFF_FIRST_S * 2 ** (failures - 2), BACK_OFF_S_MAX))

    def _judge(self, failures: int, reason: str) -> None:
        may_pass = self._was_ready or any(words in reason for words in PASSING_REASONS)
        if not may_pass or failures == STARTS_MAX or not self._server.cluster.exists():
            raise EmbeddedServerError(
                f"PostgreSQL does not start ({reason}); correct that, or read {self._layout.log} for what came before"
            )

    def _ask_to_stop(self, *_: object) -> None:
        self._stop_asked = True

    def _pause(self, seconds: float) -> None:
        select.select([self._woken], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 64)

    def _becomes_ready(self, process: "subprocess.Popen[bytes]") -> bool:
        # No deadline: recovery takes as long as it takes, and those who attach have their own.
        while process.poll() is None and not self._stop_asked:
            if answers(self._layout):
                return True
            self._pause(READY_POLL_S)
        return False

    def _watch(self, process: "subprocess.Popen[bytes]") -> None:
        while process.poll() is None and not self._stop_asked and not self._is_abandoned():
            bound_log(self._layout.log)
            self._pause(POLL_S)

    def _is_abandoned(self) -> bool:
        """Whether nobody has held a lease for a while.

        If so, `start.lock` and `lease.lock` stay ours until we end: newcomers wait for that, then start anew.
        """
        if not self._layout.lease.exists():
            # The folder was deleted under us: nobody can find the server any more.
            return True
        if not locks.try_lock(self._start):
            self._idle_since = None
            return False
        if locks.try_lock(self._lease):
            self._idle_since = self._idle_since or time.monotonic()
            if time.monotonic() - self._idle_since > IDLE_S_MAX:
                return True
            locks.release(self._lease)
        else:
            self._idle_since = None
        locks.release(self._start)
        return False


def bound_log(log: Path) -> None:
    """Keep the log short. Copied and cut, not renamed: PostgreSQL holds the file open."""
    # Neither a log that somebody deleted nor a full disk may end the keeper, and with it the server.
    with contextlib.suppress(OSError):
        if size_of(log) > LOG_BYTES_MAX:
            with contextlib.suppress(OSError):
                shutil.copyfile(log, log.with_suffix(".log.1"))
            os.truncate(log, 0)


def size_of(log: Path) -> int:
    """The log's length; nought when somebody deleted it."""
    return log.stat().st_size if log.exists() else 0


def last_words(log: Path, start: int) -> str:
    """Why PostgreSQL gave up, from what it logged since `start`."""
    with contextlib.suppress(OSError), log.open("rb") as lines:
        lines.seek(start)
        said = lines.read(LOG_BYTES_MAX).decode(errors="replace").splitlines()
        deadly = [line for line in said if "FATAL:" in line or "PANIC:" in line]
        # From the level on: the time and the pid say nothing to whoever reads the sentence.
        return deadly[-1].partition("] ")[2] if deadly else "it gave no reason"
    return "its log can't be read"
