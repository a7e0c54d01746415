"""What PostgreSQL says, in the words of the house."""

import psycopg
from psycopg import errors as sqlstate

from app.kit.errors import Unavailable

# The server is going away, cannot write (a demoted primary), or the wire broke: this connection is of no more use.
# A pool that keeps such connections can stay pinned to a demoted primary for days.
_CONNECTION_LOST = (
    sqlstate.AdminShutdown,
    sqlstate.CrashShutdown,
    sqlstate.CannotConnectNow,
    sqlstate.ReadOnlySqlTransaction,
    # It waited for us for too long: this process, or the wire, stood still. The transaction is rolled back.
    sqlstate.IdleInTransactionSessionTimeout,
    sqlstate.TransactionTimeout,
    sqlstate.IdleSessionTimeout,
)
# Class 53, insufficient resources: a full disk, no memory, no connection. Class 58: the disk does not work. They pass,
# or somebody mends them; nothing was kept. psycopg has a class of its own for each code of them, not one for all.
_OUT_OF_ORDER = ("53", "58")
_RETRYABLE = (sqlstate.DeadlockDetected, sqlstate.SerializationFailure)


class ConstraintViolation(Exception):
    """A statement would have broken the constraint of this name; nothing of it was kept."""

    def __init__(self, constraint: str) -> None:
        super().__init__(constraint)
        self.constraint = constraint


class LockTimeout(Unavailable):
    """Somebody held a row or key for longer than we wait; `where` is PostgreSQL's context, with the relation's name."""

    def __init__(self, *, where: str) -> None:
        super().__init__("Somebody else is working on the same record. Retry with the same key.")
        self.where = where


class ConnectionLost(Unavailable):
    """The connection broke, or PostgreSQL would not say that the COMMIT is durable: the outcome is unknown."""


def is_connection_lost(error: psycopg.Error) -> bool:
    """Whether the connection must be dropped."""
    if isinstance(error, _CONNECTION_LOST):
        return True
    code = error.sqlstate or ""
    return code.startswith("08") or (isinstance(error, psycopg.OperationalError) and not code)


def is_out_of_order(error: psycopg.Error) -> bool:
    """Whether PostgreSQL lacks room, memory, connections or a disk that works."""
    return (error.sqlstate or "").startswith(_OUT_OF_ORDER)


def is_retryable(error: psycopg.Error) -> bool:
    """Whether the statement was rolled back only because of others, so that trying again is right."""
    return isinstance(error, _RETRYABLE)


def translated(error: psycopg.Error) -> Exception:
    """The house's exception for `error`; the error itself when it is a bug of ours."""
    if is_connection_lost(error):
        return ConnectionLost()
    if isinstance(error, sqlstate.LockNotAvailable):
        return LockTimeout(where=error.diag.context or "")
    if (
        is_retryable(error)
        or is_out_of_order(error)
        or isinstance(error, (sqlstate.QueryCanceled, sqlstate.UndefinedTable))
    ):
        # UndefinedTable: the schema is not there yet; /health/ready says so, and nothing was done.
        return Unavailable()
    if isinstance(error, psycopg.IntegrityError) and error.diag.constraint_name:
        return ConstraintViolation(error.diag.constraint_name)
    return error
