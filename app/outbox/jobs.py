"""What is done for the outbox in the background."""

from app.db import turns
from app.db.database import Database
from app.outbox import sql


async def make_months(db: Database) -> int:
    """The months of the coming year are there; how many were missing."""
    return await turns.one(db, sql.MAKE_MONTHS) or 0


async def drop_months(db: Database) -> int:
    """Months that are over for 30 days and hold nothing untold are gone; how many."""
    dropped = 0
    while await turns.one(db, sql.DROP_MONTH) is not None:
        dropped += 1
    return dropped
