"""A new cluster: made beside its place, filled, flushed, then put there in one rename."""

import os
import shutil
import subprocess
from pathlib import Path

from app.db.embedded.errors import EmbeddedServerError
from app.db.embedded.identity import Identity, child_setup
from app.db.embedded.layout import Layout

# The application's role owns nothing and may create nothing; the owner may do what it may, and give that
# on.
_SERVER_SQL = (
    "CREATE ROLE telemed_owner LOGIN CREATEROLE",
    "CREATE ROLE telemed_app LOGIN NOINHERIT",
    "GRANT telemed_app TO telemed_owner",
    "CREATE DATABASE telemed OWNER telemed_owner",
    "REVOKE TEMPORARY ON DATABASE telemed FROM PUBLIC",
)
_DATABASE_SQL = (
    "ALTER SCHEMA public OWNER TO telemed_owner",
    "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
)
_INHERITED = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")
_FULL = "No space left on device"


def ensure_cluster(layout: Layout, bin_dir: Path, major: int, identity: Identity, *, durable: bool) -> Path:
    """The cluster's folder; a new cluster is made when there is none. Call it as the only keeper.

    1. initdb into `new-<pid>`, after sweeping away what an earlier try left;
    2. roles and database, in single-user mode: no server is up yet that anybody could see half done;
    3. flush it to disk (unless not `durable`), rename it to `pg<major>`, flush the rename.
    """
    cluster = layout.cluster(major)
    if (cluster / "PG_VERSION").exists():
        return cluster
    _refuse_other_versions(layout, major)
    for left_over in layout.data_dir.glob("new-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    # A name of our own: the initdb of a killed keeper may still be sweeping up after itself.
    building = layout.data_dir / f"new-{os.getpid()}"
    initdb: list[str | Path] = [bin_dir / "initdb", "-D", building]
    how = ["-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--auth-local=trust", "--auth-host=reject"]
    _run([*initdb, *how, "--no-sync", "--no-instructions"], layout, identity)
    for database, statements in (("postgres", _SERVER_SQL), ("telemed", _DATABASE_SQL)):
        # The flush comes once, at the end. Without exit_on_error single-user mode would go on after an error.
        options = ["--single", "-F", "-c", "exit_on_error=on", "-D"]
        single: list[str | Path] = [bin_dir / "postgres", *options, building, database]
        _run(single, layout, identity, stdin="".join(f"{statement}\n" for statement in statements))
    if durable:
        _run([*initdb, "--sync-only"], layout, identity)
    building.rename(cluster)
    _flush(layout.data_dir)
    return cluster


def clean_environment() -> dict[str, str]:
    """What PostgreSQL gets of our environment: no other server's port or folder, and none of our secrets."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**kept, "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _refuse_other_versions(layout: Layout, major: int) -> None:
    # Starting empty beside an older cluster would look like the loss of everything in it.
    for version_file in sorted(layout.data_dir.glob("pg*/PG_VERSION")):
        found = version_file.read_text().strip()
        raise EmbeddedServerError(
            f"{layout.data_dir} holds data of PostgreSQL {found}, and the binaries are PostgreSQL {major}; "
            f"set PG_BINDIR to a PostgreSQL {found}, or dump there and restore into another TELEMED_DATA_DIR"
        )


def _run(command: list[str | Path], layout: Layout, identity: Identity, *, stdin: str = "") -> None:
    answer = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env=clean_environment(),
        # Safe here: the keeper has one thread.
        preexec_fn=child_setup(identity),
    )
    if answer.returncode == 0:
        return
    said = (answer.stderr + answer.stdout).strip()
    if _FULL in said:
        raise EmbeddedServerError(
            f"the disk of {layout.data_dir} is full; free at least 100 MB, or choose another TELEMED_DATA_DIR"
        )
    lines = said.splitlines()
    reason = next(
        (line for line in lines if "error:" in line or "FATAL:" in line or "ERROR:" in line),
        (lines or ["no reason given"])[-1],
    )
    raise EmbeddedServerError(
        f"a new database could not be made in {layout.data_dir} ({reason}); "
        "correct that, or choose another TELEMED_DATA_DIR"
    )


def _flush(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
