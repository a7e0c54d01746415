"""What is done for bookings in the background."""

from app.booking import sql
from app.db import turns
from app.db.database import Database


async def forget_keys(db: Database) -> int:
    """Keys that made a consultation and are older than their answers are kept are gone; how many."""
    return await turns.batches(db, sql.FORGET_KEYS)
