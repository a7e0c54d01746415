"""What is done for the audit log in the background. Its rows are never dropped from here: see `app/db/retention.py`."""

from app.audit import sql
from app.db import turns
from app.db.database import Database


async def make_months(db: Database) -> int:
    """The months of the coming year are there; how many were missing."""
    return await turns.one(db, sql.MAKE_MONTHS) or 0
