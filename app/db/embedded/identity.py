"""As whom PostgreSQL runs: it refuses root, and its initdb refuses users without a name."""

import ctypes
import os
import pwd
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.db.embedded.errors import EmbeddedServerError
from app.db.embedded.layout import Layout

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_NOBODY = 65534
# Ids that have a name nearly everywhere; which of them PostgreSQL believes to be does not matter.
_ALIASES = (1000, 1, 2, _NOBODY)


@dataclass(frozen=True)
class Identity:
    """The user that PostgreSQL runs as, and the id it sees in a user namespace (None: no namespace)."""

    uid: int
    gid: int
    alias: int | None = None


def choose_identity(layout: Layout, bin_dir: Path) -> Identity:
    """Whom to run PostgreSQL as. Where namespaces are forbidden, root's folder is handed to `nobody`.

    An ordinary user runs it as themselves. Root runs it as the folder's owner; where that is root, in a user
    namespace in which root has another number: nothing changes hands, and closed folders stay closed.
    """
    owner = layout.data_dir.stat()
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0 and owner.st_uid != 0:
        uid, gid = owner.st_uid, owner.st_gid
    identity = Identity(uid, gid, alias=_alias() if uid == 0 or not _has_name(uid) else None)
    if identity.alias is not None and not _works(identity, bin_dir):
        # For a nameless user this only matters to initdb, which will say so.
        identity = Identity(uid or _NOBODY, gid if uid else _NOBODY)
    _check_reachable(identity, bin_dir)
    _check_reachable(identity, layout.data_dir)
    if identity.uid != uid:
        _hand_over(layout.data_dir, identity)
    return identity


def child_setup(identity: Identity) -> Callable[[], None]:
    """What a child does between fork and exec: become the identity, and be stopped when we die.

    Everything is looked up here, before the fork; the child makes system calls only.
    """
    on_linux = sys.platform == "linux"
    libc = ctypes.CDLL(None, use_errno=True)
    keeper_pid = os.getpid()
    must_change = identity.uid != os.geteuid()
    maps = _maps(identity)

    def become() -> None:
        if must_change:
            os.setgroups([])
            os.setgid(identity.gid)
            os.setuid(identity.uid)
        if on_linux and identity.alias is not None:
            # A change of user takes our /proc/self away from us until we are dumpable again.
            libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
            if libc.unshare(_CLONE_NEWUSER):
                raise OSError(ctypes.get_errno(), "unshare")
            for path, content in maps:
                fd = os.open(path, os.O_WRONLY)
                os.write(fd, content)
                os.close(fd)
        if on_linux:
            # After the changes above, each of which clears it. SIGINT is PostgreSQL's fast shutdown.
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
            if os.getppid() != keeper_pid:
                os._exit(1)

    return become


def _maps(identity: Identity) -> tuple[tuple[str, bytes], ...]:
    return (
        ("/proc/self/setgroups", b"deny"),
        ("/proc/self/uid_map", f"{identity.alias} {identity.uid} 1".encode()),
        ("/proc/self/gid_map", f"{identity.alias} {identity.gid} 1".encode()),
    )


def _alias() -> int | None:
    return next((uid for uid in _ALIASES if _has_name(uid)), None) if sys.platform == "linux" else None


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _works(identity: Identity, bin_dir: Path) -> bool:
    command = [str(bin_dir / "postgres"), "--version"]
    try:
        subprocess.run(command, preexec_fn=child_setup(identity), stdout=subprocess.DEVNULL, check=True)
    except PermissionError:
        # The namespace was entered and the binaries can't be reached in it: `_check_reachable` says where.
        return True
    except subprocess.SubprocessError:
        return False
    return True


def _check_reachable(identity: Identity, path: Path) -> None:
    if os.geteuid() != 0:
        return
    groups = {identity.gid, *(os.getgroups() if identity.alias is not None else ())}
    for folder in reversed(path.parents):
        entry = folder.stat()
        may_pass = stat.S_IXOTH
        if entry.st_uid == identity.uid:
            may_pass = stat.S_IXUSR
        elif entry.st_gid in groups:
            may_pass = stat.S_IXGRP
        if not entry.st_mode & may_pass:
            raise EmbeddedServerError(
                f"PostgreSQL can't run as root, and {path} can't be reached as anybody else "
                f"because {folder} is closed; run as another user, or move it elsewhere"
            )


def _hand_over(data_dir: Path, identity: Identity) -> None:
    for path in (data_dir, *data_dir.rglob("*")):
        os.chown(path, identity.uid, identity.gid, follow_symlinks=False)
