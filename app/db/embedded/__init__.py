"""A PostgreSQL of our own, for whoever has no `DATABASE_URL`.

Owns the data folder (`TELEMED_DATA_DIR`): `pg<major>/` (the cluster), `postgres.log`, the socket, four locks.

Promises:
- any number of processes on one machine may `attach`; they share one server, and it stops when the last of
  them is gone, even if all were killed (`kill -9`): a lease is an flock, and the kernel gives it back;
- a cluster appears under its name only when it is complete and on disk: a crash during the first start leaves
  nothing to repair;
- no committed transaction is lost when processes are killed, and no patient's data reaches the log;
- a local socket in a folder closed to other users is the only way in: there is no TCP and so no password.

Does not: migrate, pool connections, upgrade a cluster to a new major version, serve a second machine,
run on Windows.
"""

from app.db.embedded.attachment import Attachment, attach
from app.db.embedded.errors import EmbeddedServerError
from app.db.embedded.installation import binaries
from app.db.embedded.locks import serve_lock

__all__ = ["Attachment", "EmbeddedServerError", "attach", "binaries", "serve_lock"]
