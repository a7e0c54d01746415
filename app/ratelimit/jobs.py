"""What is done for rate limits in the background."""

from app.db import turns
from app.db.database import Database
from app.kit import clock
from app.ratelimit import sql
from app.ratelimit.rules import MINUTE_S


async def forget_counts(db: Database) -> int:
    """Minutes that nobody counts in any more are gone; how many counts."""
    # Replicas' clocks may differ.
    return await turns.batches(db, sql.FORGET, minute=int(clock.now().timestamp()) // MINUTE_S - 10)
