"""Locks that the kernel gives back when their holder dies.

Order, so that nobody waits in a circle: a lease first, then `start.lock`; who holds `start.lock` only
*tries* the others. Only the holder of `start.lock` may try `lease.lock` exclusively: then a refusal means
"somebody uses the server" and nothing else.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from app.db.embedded.errors import EmbeddedServerError
from app.db.embedded.layout import Layout

_RETRY_S = 0.01


@contextlib.contextmanager
def serve_lock(data_dir: Path) -> Iterator[None]:
    """One `telemed serve` per data folder, for the block; `EmbeddedServerError` names who has it."""
    layout = Layout.of(data_dir)
    layout.create()
    fd = layout.open(layout.serve, os.O_RDWR)
    try:
        if not try_lock(fd):
            owner = holder(fd) or "unknown"
            raise EmbeddedServerError(
                f"already served from {layout.data_dir} by process {owner}; "
                "stop it first, or choose another TELEMED_DATA_DIR"
            )
        sign(fd)
        yield
    finally:
        os.close(fd)


def try_lock(fd: int, *, shared: bool = False) -> bool:
    """Take the lock if that needs no waiting."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_lock(fd: int, *, shared: bool = False, timeout_s: float) -> bool:
    """Take the lock within the time given. Polls: a blocking flock knows no timeout."""
    deadline = time.monotonic() + timeout_s
    while not try_lock(fd, shared=shared):
        if time.monotonic() > deadline:
            return False
        time.sleep(_RETRY_S)
    return True


@contextlib.contextmanager
def held(layout: Layout, path: Path, *, timeout_s: float) -> Iterator[bool]:
    """Hold a lock exclusively for the block; yields whether it was got in time."""
    fd = layout.open(path, os.O_RDWR)
    try:
        yield wait_lock(fd, timeout_s=timeout_s)
    finally:
        # Closing gives a lock back; LOCK_UN would also take it from a forked copy of this process.
        os.close(fd)


def is_free(layout: Layout, path: Path) -> bool:
    """Whether nobody holds the lock at this moment."""
    fd = layout.open(path, os.O_RDWR)
    try:
        return try_lock(fd)
    finally:
        os.close(fd)


def release(fd: int) -> None:
    """Give a lock back and keep the file open. Only for a process that forks no copies of itself."""
    fcntl.flock(fd, fcntl.LOCK_UN)


def sign(fd: int) -> None:
    """Write our pid into a lock that we hold."""
    os.ftruncate(fd, 0)
    os.pwrite(fd, str(os.getpid()).encode(), 0)


def holder(fd: int) -> int | None:
    """The pid written into a lock; None in the instant before its holder has signed it."""
    text = os.pread(fd, 20, 0)
    return int(text) if text.isdigit() else None
