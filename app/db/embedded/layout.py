"""Where everything lies in the data folder."""

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.db.embedded.errors import EmbeddedServerError

PORT = "5432"
# sun_path is 108 bytes on Linux with its closing NUL (104 on macOS, where libpq says so itself).
SOCKET_PATH_BYTES_MAX = 107
# Not tempfile.gettempdir(): processes with different TMPDIR must arrive at the same socket.
SHORT_ROOT = Path("/tmp")  # noqa: S108 the folder made below it is 0700 and its owner is checked


@dataclass(frozen=True)
class Layout:
    """The paths in one data folder. Make it with `Layout.of`, so that every process hashes the same path."""

    data_dir: Path

    @classmethod
    def of(cls, data_dir: Path) -> "Layout":
        return cls(data_dir.expanduser().resolve())

    @property
    def lease(self) -> Path:
        """Locked shared by every process that uses the server; exclusively by who may stop it."""
        return self.data_dir / "lease.lock"

    @property
    def start(self) -> Path:
        """Locked by who starts or stops a keeper, and by who asks whether a lease is left."""
        return self.data_dir / "start.lock"

    @property
    def keeper(self) -> Path:
        """Locked by the keeper while it lives; holds its pid."""
        return self.data_dir / "keeper.lock"

    @property
    def serve(self) -> Path:
        """Locked by `telemed serve`; holds its pid."""
        return self.data_dir / "serve.lock"

    @property
    def log(self) -> Path:
        return self.data_dir / "postgres.log"

    @property
    def socket_dir(self) -> Path:
        """The data folder, or a short stand-in where its path fits no socket or reads as several."""
        folder = os.fsencode(self.data_dir)
        length = len(folder) + len(f"/.s.PGSQL.{PORT}")
        # PostgreSQL reads a list of folders there, trimmed, and libpq a list of hosts.
        if length <= SOCKET_PATH_BYTES_MAX and b"," not in folder and folder == folder.rstrip():
            return self.data_dir
        return SHORT_ROOT / f"telemed-{hashlib.sha256(folder).hexdigest()[:16]}"

    @property
    def socket(self) -> Path:
        return self.socket_dir / f".s.PGSQL.{PORT}"

    @property
    def socket_lock(self) -> Path:
        """PostgreSQL's own; its first line is the pid of the server behind the socket."""
        return self.socket.with_name(f"{self.socket.name}.lock")

    def cluster(self, major: int) -> Path:
        return self.data_dir / f"pg{major}"

    def create(self) -> None:
        """Make the data folder, closed to other users: everybody who reaches the socket is trusted."""
        with _explained(self.data_dir):
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.data_dir.stat().st_mode & 0o077:
                self._close_to_others()

    def open(self, path: Path, flags: int) -> int:
        """Open a file of ours; made when missing, and then the folder owner's even if root makes it."""
        with _explained(self.data_dir):
            fd = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if os.geteuid() == 0:
                owner = self.data_dir.stat()
                os.fchown(fd, owner.st_uid, owner.st_gid)
            return fd

    def create_socket_dir(self, uid: int, gid: int) -> None:
        """Make the short stand-in for the socket, if one is needed, for the user that PostgreSQL runs as."""
        folder = self.socket_dir
        if folder == self.data_dir:
            return
        with _explained(folder):
            folder.mkdir(mode=0o700, exist_ok=True)
            found = folder.lstat()
            # Anybody can make folders there: one that somebody else prepared would let them in.
            if not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o077 or found.st_uid not in {os.geteuid(), uid}:
                raise EmbeddedServerError(
                    f"{folder}, needed because the path of {self.data_dir} is long, "
                    "belongs to somebody else; choose a shorter TELEMED_DATA_DIR"
                )
            os.chown(folder, uid, gid)

    def _close_to_others(self) -> None:
        # Somebody may have named /tmp or a home folder: closing that would break far more than us.
        if not self.lease.exists() and any(self.data_dir.iterdir()):
            raise EmbeddedServerError(
                f"{self.data_dir} holds other files and is open to other users; "
                "choose an empty TELEMED_DATA_DIR, or close this one (chmod 700)"
            )
        self.data_dir.chmod(0o700)


@contextlib.contextmanager
def _explained(data_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EmbeddedServerError(
            f"{data_dir} can't be used as the data folder ({error.strerror}); choose another TELEMED_DATA_DIR"
        ) from error
