"""Delivering what is due: take it on, deliver it, say so."""

from collections.abc import Sequence

from app.db.database import Database
from app.outbox import sql
from app.outbox.sql import DueEvent


async def claim_due(db: Database, *, topics: Sequence[str]) -> list[DueEvent]:
    """Up to eight events of these topics that nobody else delivers now, the longest due first.

    Each comes again after a pause that doubles, from a minute to six hours, unless it is published before.
    """
    return await db.many(sql.CLAIM_DUE, topics=list(topics))


async def publish(db: Database, event: DueEvent) -> None:
    """The event is told, or there is nothing left to tell."""
    await db.one(sql.PUBLISH, clinic_id=event.clinic_id, event_id=event.id, event_created_at=event.created_at)
