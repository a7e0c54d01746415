"""What is done for prescriptions in the background."""

from app.db import turns
from app.db.database import Database
from app.prescription import sql


async def forget_keys(db: Database) -> int:
    """Keys that made a prescription and are older than their answers are kept are gone; how many."""
    return await turns.batches(db, sql.FORGET_KEYS)
