"""The counts in PostgreSQL, where every replica is anyway."""

from collections.abc import Sequence

from app.db.database import Database
from app.ratelimit import sql
from app.ratelimit.service import Told, Total


class PostgresStore:
    """Adds up in table `rate_counts`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def add(self, minute: int, told: Sequence[Told]) -> dict[tuple[int, bytes], Total]:
        """One statement, however many were counted."""
        rows = await self._db.many(
            sql.SHARE,
            minute=minute,
            clinic_ids=[one.clinic_id for one in told],
            buckets=[one.bucket for one in told],
            requests=[one.requests for one in told],
        )
        return {(row.clinic_id, bytes(row.bucket)): Total(row.requests, row.previous) for row in rows}

    async def close(self) -> None:
        """The pool is not ours."""
