"""One running PostgreSQL: how it is started, asked, and stopped."""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.db.embedded.cluster import clean_environment
from app.db.embedded.identity import Identity, child_setup
from app.db.embedded.layout import PORT, Layout

DEFAULT_PARAMETERS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    # A pool of sixteen for each of twelve workers; an idle connection costs little.
    "max_connections": "200",
    "shared_buffers": "256MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "deadlock_timeout": "200ms",
    "log_checkpoints": "off",
    # `log` is stricter than `warning`: the text of an ERROR quotes values ('invalid input syntax for type
    # date: "…"'), and they may be a patient's. The application logs its own failures; the server's LOG,
    # FATAL and PANIC remain.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
# Beyond this a checkpoint hangs on a dying disk: leave it to crash recovery.
STOP_S_MAX = 20.0
_OLD_SERVER_POLL_S = 0.01
_PING_S_MAX = 2.0
_OLD_SERVER_S_MAX = 10.0


@dataclass(frozen=True)
class Server:
    """What the keeper needs to start PostgreSQL, any number of times."""

    layout: Layout
    bin_dir: Path
    cluster: Path
    identity: Identity
    parameters: Mapping[str, str]

    def start(self) -> "subprocess.Popen[bytes]":
        """Start it and return at once; its output goes where our standard error goes."""
        _settle_old_pid(self.cluster)
        self.layout.socket_lock.unlink(missing_ok=True)
        # The last two are ours: a URL and the lock files name the same place.
        fixed = {"port": PORT, "unix_socket_directories": str(self.layout.socket_dir)}
        settings = {**DEFAULT_PARAMETERS, **self.parameters, **fixed}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return subprocess.Popen(
            [self.bin_dir / "postgres", "-D", self.cluster, *options],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            env=clean_environment(),
            start_new_session=True,
            # Safe here: the keeper has one thread.
            preexec_fn=child_setup(self.identity),
        )


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Stop it: open transactions are rolled back, committed ones are on disk."""
    for sig in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if process.poll() is not None:
            return
        process.send_signal(sig)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S_MAX)


def answers(layout: Layout) -> bool:
    """Whether it accepts connections. Speaks the protocol, to need neither a driver nor a process."""
    words = b"user\0telemed_app\0database\0telemed\0\0"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PING_S_MAX)
        try:
            connection.connect(str(layout.socket))
            connection.sendall(struct.pack("!ii", 8 + len(words), 3 << 16) + words)
            reply = connection.recv(4096)
            connection.sendall(b"X\0\0\0\4")
        except OSError:
            # A reply may have come before the server closed its end; without one it is not up.
            return False
    # 57P03: starting up, shutting down or recovering. Any other refusal (all connections taken) comes from
    # a running server.
    return bool(reply) and b"57P03" not in reply


def postmaster_pid(lock_file: Path) -> int | None:
    """The pid in one of PostgreSQL's lock files, whether or not it is alive."""
    try:
        first = lock_file.read_text().split("\n", 1)[0]
    except FileNotFoundError:
        return None
    return int(first) if first.isdigit() else None


def _settle_old_pid(cluster: Path) -> None:
    """Make a left-over pid file tell the truth.

    1. A server that lost its keeper is about to end: wait for it, or starts fail until it has.
    2. After a crash another program may have got its number (usual when a container restarts), and
       PostgreSQL would refuse to start for good. Write our own number there: PostgreSQL knows that its
       parent is not a server. The file itself has to stay: it names the shared memory by which left-over
       backends are noticed.
    """
    if sys.platform != "linux":
        return
    pid_file = cluster / "postmaster.pid"
    deadline = time.monotonic() + _OLD_SERVER_S_MAX
    while (pid := postmaster_pid(pid_file)) is not None and _runs_in(pid, cluster) and time.monotonic() < deadline:
        time.sleep(_OLD_SERVER_POLL_S)
    if pid is not None and not _runs_in(pid, cluster):
        _, rest = pid_file.read_text().split("\n", 1)
        pid_file.write_text(f"{os.getpid()}\n{rest}")


def _runs_in(pid: int, cluster: Path) -> bool:
    # PostgreSQL works inside its cluster's folder, and nothing else does.
    try:
        return Path(f"/proc/{pid}/cwd").samefile(cluster)
    except OSError:
        return False
