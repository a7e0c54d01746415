"""The process that owns PostgreSQL: `python -m app.db.embedded.keeper DATA_DIR [NAME=VALUE …]`.

It belongs to no command: whoever attaches first starts it, and it ends when nobody holds a lease any more.
It has one thread and no connection, so that forking is safe and nothing but a signal can end it early. If
it is killed, the kernel stops PostgreSQL (`child_setup`), and the next `ensure` starts another keeper.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from app.db.embedded import locks
from app.db.embedded.cluster import ensure_cluster
from app.db.embedded.errors import EmbeddedServerError
from app.db.embedded.identity import choose_identity
from app.db.embedded.installation import binaries, major_version
from app.db.embedded.layout import Layout
from app.db.embedded.postmaster import Server
from app.db.embedded.report import TAKEN, note, say
from app.db.embedded.supervisor import Supervisor

# A keeper that is just being killed holds its lock for an instant longer.
TAKE_OVER_S_MAX = 1.0


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


def _keep(layout: Layout, parameters: Mapping[str, str]) -> None:
    bin_dir = binaries()
    major = major_version(bin_dir)
    identity = choose_identity(layout, bin_dir)
    durable = parameters.get("fsync", "on") not in {"off", "false", "no", "0"}
    cluster = ensure_cluster(layout, bin_dir, major, identity, durable=durable)
    layout.create_socket_dir(identity.uid, identity.gid)
    Supervisor(layout, Server(layout, bin_dir, cluster, identity, parameters)).run()


def _remove_socket_dir(layout: Layout) -> None:
    if layout.socket_dir != layout.data_dir:
        shutil.rmtree(layout.socket_dir, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
