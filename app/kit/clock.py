"""The one clock of the doors; below them `now` is a parameter or the database's `now()`."""

from datetime import UTC, datetime


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)
