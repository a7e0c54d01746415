"""The process that owns PostgreSQL: `python -m app.db.embedded.keeper DATA_DIR [NAME=VALUE …]`.

It belongs to no command: whoever attaches first starts it, and it ends when nobody holds a lease any more. It has one
thread and no connection, so that forking is safe and nothing but a signal can end it early. If it is killed, the kernel
stops PostgreSQL (`child_setup`), and the next `ensure` starts another keeper.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from app.db.embedded import locks
from app.db.embedded.cluster import ensure_cluster
from app.db.embedded.errors import EmbeddedServerError
from app.db.embedded.identity import choose_identity
from app.db.embedded.installation import binaries, major_version
from app.db.embedded.layout import Layout
from app.db.embedded.postmaster import Server, answers, stop
from app.db.embedded.report import READY, TAKEN, note, say

POLL_S = 0.2
READY_POLL_S = 0.01
# Long enough for one command to follow another without a restart when the first was killed.
IDLE_S_MAX = 1.0
# A keeper that is just being killed holds its lock for an instant longer.
TAKE_OVER_S_MAX = 1.0
# Waits of 0.1, 0.2, 0.4 … 3.2 s between failing starts: about half a minute in all, then whoever calls `ensure` may try again.
STARTS_MAX = 12
BACK_OFF_FIRST_S = 0.1
BACK_OFF_S_MAX = 3.2
# Up this long, a server counts as sound again.
SOUND_S = 10.0
LOG_BYTES_MAX = 10 * 1024 * 1024


class Keeper:
    """Runs one server until nobody needs it."""

    def __init__(self, layout: Layout, server: Server) -> None:
        self._layout = layout
        self._server = server
        self._stop_asked = False
        self._idle_since: float | None = None
        self._lease = layout.open(layout.lease, os.O_RDWR)
        self._start = layout.open(layout.start, os.O_RDWR)

    def ask_to_stop(self, *_signal: object) -> None:
        self._stop_asked = True

    def run(self) -> None:
        """Start the server, say so on standard output, keep it up; returns when it has been stopped."""
        failures = 0
        while not self._stop_asked:
            process = self._server.start()
            started = time.monotonic()
            if self._becomes_ready(process):
                say(READY)
                self._watch(process)
            if process.poll() is None:
                stop(process)
                return
            failures = 1 if time.monotonic() - started > SOUND_S else failures + 1
            note(f"PostgreSQL ended by itself ({process.returncode}), {failures} of {STARTS_MAX}")
            if failures == STARTS_MAX or not self._server.cluster.exists():
                message = f"PostgreSQL does not stay up; read {self._layout.log}, or choose another TELEMED_DATA_DIR"
                raise EmbeddedServerError(message)
            # The first restart is immediate; later ones give left-over backends time to leave.
            if failures > 1:
                time.sleep(min(BACK_OFF_FIRST_S * 2 ** (failures - 2), BACK_OFF_S_MAX))

    def _becomes_ready(self, process: "subprocess.Popen[bytes]") -> bool:
        # No deadline: recovery takes as long as it takes, and those who attach have their own.
        while process.poll() is None and not self._stop_asked:
            if answers(self._layout):
                return True
            time.sleep(READY_POLL_S)
        return False

    def _watch(self, process: "subprocess.Popen[bytes]") -> None:
        while process.poll() is None and not self._stop_asked and not self._is_abandoned():
            bound_log(self._layout.log)
            time.sleep(POLL_S)

    def _is_abandoned(self) -> bool:
        """Whether nobody has held a lease for a while. If so, both locks stay ours until we end, and newcomers wait for that."""
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


def main(data_dir: str, *settings: str) -> None:
    """Leave the caller's family, keep the server, report the first outcome in one line on standard output."""
    # The caller waits for its child and must not be left with a dead one: the keeper is the child's child.
    if os.fork():
        os._exit(0)
    os.umask(0o077)
    layout = Layout.of(Path(data_dir))
    lock = layout.open(layout.keeper, os.O_RDWR)
    if not locks.wait_lock(lock, timeout_s=TAKE_OVER_S_MAX):
        say(TAKEN)
        return
    locks.sign(lock)
    try:
        _keep(layout, dict(setting.split("=", 1) for setting in settings))
    except EmbeddedServerError as error:
        note(str(error))
        say(str(error))
        sys.exit(1)
    finally:
        _remove_socket_dir(layout)
        # Before start.lock goes with the process: who gets that one must not take us for alive.
        os.close(lock)


def bound_log(log: Path) -> None:
    """Keep the log and its predecessor below twice LOG_BYTES_MAX. Copied, not renamed: PostgreSQL holds the file open."""
    # Neither a log that somebody deleted nor a full disk may end the keeper, and with it the server.
    with contextlib.suppress(OSError):
        if log.stat().st_size > LOG_BYTES_MAX:
            with contextlib.suppress(OSError):
                shutil.copyfile(log, log.with_suffix(".log.1"))
            os.truncate(log, 0)


def _keep(layout: Layout, parameters: Mapping[str, str]) -> None:
    bin_dir = binaries()
    major = major_version(bin_dir)
    identity = choose_identity(layout, bin_dir)
    durable = parameters.get("fsync", "on") not in {"off", "false", "no", "0"}
    cluster = ensure_cluster(layout, bin_dir, major, identity, durable=durable)
    layout.create_socket_dir(identity.uid, identity.gid)
    keeper = Keeper(layout, Server(layout, bin_dir, cluster, identity, parameters))
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, keeper.ask_to_stop)
    keeper.run()


def _remove_socket_dir(layout: Layout) -> None:
    if layout.socket_dir != layout.data_dir:
        shutil.rmtree(layout.socket_dir, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
