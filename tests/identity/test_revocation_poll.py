"""The poll that keeps void tokens in memory."""

import asyncio
from datetime import timedelta
from typing import Any, cast

from app.db.database import Database
from app.identity.revocations.service import Revocations


class Deaf:
    """A database that swallows a cancellation, as a pool may that waits with Python 3.11's `wait_for`."""

    async def many(self, *_: object, **__: object) -> list[Any]:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return []
        raise AssertionError("nobody waits that long")


def test_poll_ends_even_where_its_cancellation_is_swallowed() -> None:
    async def start_and_stop() -> None:
        revocations = Revocations(cast("Database", Deaf()), token_lifetime=timedelta(minutes=15))
        revocations.start()
        await asyncio.sleep(0.01)
        await asyncio.wait_for(revocations.stop(), timeout=5)

    asyncio.run(start_and_stop())
