"""What is done for attempts in the background."""

from app.db import turns
from app.db.database import Database
from app.identity.attempts import sql


async def forget_expired(db: Database) -> int:
    """Attempts that no longer slow anything down are gone, and networks that are no longer known; how many."""
    return await turns.batches(db, sql.FORGET)
