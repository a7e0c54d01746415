"""The list of void tokens that each process keeps in memory.

A background poll refreshes it; a request that finds it older than a second waits for the next poll. So a logout holds
everywhere within a second although no request reads the database for its token, and a process that cannot ask anymore
answers 503 instead of trusting what it knew.
"""

import asyncio
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

from app.db.database import Database
from app.identity.revocations import sql
from app.identity.rules import Principal
from app.kit.background import Background
from app.kit.errors import Unavailable
from app.observability import logs

POLL_S = 0.4
STALE_AFTER_S = 0.9
WAIT_FOR_POLL_S = 2.0
# Longer than any transaction of ours can stay open between its insert and its commit.
OVERLAP = timedelta(seconds=30)
FULL_AFTER_S = 15.0
FORGET_EVERY_S = 3600.0

_log = logs.logger("revocations")


class Revocations(Background):
    """Which access tokens are void although they are not expired."""

    def __init__(self, db: Database, *, token_lifetime: timedelta) -> None:
        super().__init__()
        self._db = db
        self._token_lifetime = token_lifetime
        self._ended_sessions: dict[UUID, float] = {}
        self._versions: dict[tuple[int, UUID], tuple[int, float]] = {}
        self._fresh_at = float("-inf")
        self._forgot_at = float("-inf")
        self._polled = asyncio.Event()
        self._poll_now = asyncio.Event()

    async def refuses(self, principal: Principal) -> bool:
        """Whether the principal's token was voided more than a second ago. Raises `Unavailable`."""
        if self._age_s() > STALE_AFTER_S:
            await self._wait_for_poll()
        if principal.session_id in self._ended_sessions:
            return True
        version = self._versions.get((principal.clinic_id, principal.user_id))
        return version is not None and principal.token_version < version[0]

    def _age_s(self) -> float:
        return asyncio.get_running_loop().time() - self._fresh_at

    async def _wait_for_poll(self) -> None:
        self._poll_now.set()
        try:
            async with asyncio.timeout(WAIT_FOR_POLL_S):
                while self._age_s() > STALE_AFTER_S:
                    await self._polled.wait()
        except TimeoutError as error:
            raise Unavailable("The database cannot be reached. Retry with the same key.") from error

    async def _work_forever(self) -> None:
        while not self.is_stopping:
            self._poll_now.clear()
            try:
                await self._poll()
            except Unavailable:
                _log.warning("revocations could not be read")
            except Exception:  # noqa: BLE001 - a door of its own: a bug here must not end the poll in silence
                _log.exception("revocations could not be read")
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._poll_now.wait()

    async def _poll(self) -> None:
        started = asyncio.get_running_loop().time()
        is_full = self._age_s() > FULL_AFTER_S
        rows = await self._db.many(sql.REVOKED_WITHIN, age=self._token_lifetime if is_full else OVERLAP)
        until = started + self._token_lifetime.total_seconds()
        for row in rows:
            if row.session_id is not None:
                self._ended_sessions.setdefault(row.session_id, until)
            elif row.user_id is not None and row.token_version is not None:
                known = self._versions.get((row.clinic_id, row.user_id), (0, 0.0))
                self._versions[row.clinic_id, row.user_id] = (max(known[0], row.token_version), until)
        # Its start, not its end: the answer tells how things stood when the question was asked.
        self._fresh_at = started
        self._polled.set()
        self._polled.clear()
        if started - self._forgot_at > FORGET_EVERY_S:
            await self._forget(started)

    async def _forget(self, now: float) -> None:
        """Tokens that old are expired by now: neither memory nor table need to know them."""
        self._forgot_at = now
        self._ended_sessions = {key: until for key, until in self._ended_sessions.items() if until > now}
        self._versions = {key: known for key, known in self._versions.items() if known[1] > now}
        await self._db.execute(sql.FORGET_OLDER, age=2 * self._token_lifetime + OVERLAP)
