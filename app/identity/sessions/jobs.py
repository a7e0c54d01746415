"""What is done for sessions in the background."""

from app.db import turns
from app.db.database import Database
from app.identity.sessions import sql


async def forget_expired(db: Database) -> int:
    """Refresh tokens that expired, and sessions that have none left, are gone; how many tokens."""
    return await turns.batches(db, sql.FORGET_EXPIRED)
