"""Counting, and telling the other replicas."""

import asyncio
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from app.kit import clock
from app.kit.background import Background
from app.kit.errors import RateLimited, Unavailable
from app.observability import logs
from app.ratelimit.rules import MINUTE_S, Count, Limit, wait_s

SHARE_EVERY_S = 1.0
# Who asked for less than this part of a limit is not worth telling: sixteen replicas are within it together.
WORTH_TELLING = 16
# Of those who are counted; beyond it whoever asked least lately is forgotten. Some 300 bytes each.
COUNTS_MAX = 100_000
TOLD_AT_ONCE = 1_000
_BUCKET_BYTES = 16
# A network is counted before anybody knows whose patients are behind it.
NO_CLINIC = 0

_log = logs.logger("ratelimit")
_Key = tuple[Limit, int, str]


@dataclass(frozen=True, slots=True)
class Told:
    """What one process has counted since it told last."""

    clinic_id: int
    bucket: bytes
    requests: int


@dataclass(frozen=True, slots=True)
class Total:
    """What all have counted in this minute, and in the one before."""

    requests: int
    previous: int


@dataclass(frozen=True, slots=True)
class Limits:
    """Of each caller, of each network, and of each network at the doors where people say who they are."""

    caller: Limit
    network: Limit
    identity: Limit


class Store(Protocol):
    """Where replicas add up what they counted."""

    async def add(self, minute: int, told: Sequence[Told]) -> dict[tuple[int, bytes], Total]:
        """The totals, by clinic and bucket. Raises `Unavailable`."""

    async def close(self) -> None:
        """Leave."""


class RateLimits(Background):
    """Counts by itself at once, and with everybody else within a second.

    While the store is away it counts by itself alone: no request fails because it could not be counted.
    """

    def __init__(self, store: Store, limits: Limits, *, key: bytes) -> None:
        super().__init__()
        self._store = store
        self._limits = limits
        self._key = key
        self._counts: dict[_Key, Count] = {}
        self._untold: set[_Key] = set()
        self._is_alone = False

    async def stop(self) -> None:
        """End the sharing."""
        await super().stop()
        await self._store.close()

    def check(self, *, network: str, clinic_id: int = NO_CLINIC, caller: UUID | None = None, is_strict: bool) -> None:
        """Count a request of a caller, if one is known, and of a network. Raises `RateLimited`, and counts nothing."""
        asked: list[_Key] = [(self._limits.network, NO_CLINIC, network)]
        if caller is not None:
            asked.append((self._limits.caller, clinic_id, caller.hex))
        if is_strict:
            asked.append((self._limits.identity, NO_CLINIC, network))
        self._check(asked)

    def _check(self, asked: Sequence[_Key]) -> None:
        now_s = clock.now().timestamp()
        minute, at_s = int(now_s) // MINUTE_S, now_s % MINUTE_S
        counts = [self._count(key, minute) for key in asked]
        wait = max(wait_s(count, key[0], at_s=at_s) for count, key in zip(counts, asked, strict=True))
        if wait:
            raise RateLimited(
                f"You have asked for too much in a minute. Repeat the request after {wait} seconds.",
                retry_after_s=wait,
            )
        for count, key in zip(counts, asked, strict=True):
            count.own += 1
            if key[0].is_shared_at_once or (count.shared + count.own) * WORTH_TELLING >= key[0].per_minute:
                self._untold.add(key)

    async def share(self) -> None:
        """Tell what was counted, and hear what the others counted. Raises `Unavailable`."""
        minute = int(clock.now().timestamp()) // MINUTE_S
        keys, self._untold = list(self._untold), set()
        for begin in range(0, len(keys), TOLD_AT_ONCE):
            await self._tell(minute, keys[begin : begin + TOLD_AT_ONCE])
        self._forget(minute)

    async def _tell(self, minute: int, keys: Sequence[_Key]) -> None:
        counted: dict[tuple[int, bytes], Count] = {}
        told: list[Told] = []
        for key in keys:
            count = self._counts.get(key)
            if count is not None and count.minute == minute and count.own:
                bucket = self._bucket(key)
                counted[key[1], bucket] = count
                told.append(Told(key[1], bucket, count.own))
                # Ours, whether or not the others hear of it.
                count.shared, count.own = count.shared + count.own, 0
        if not told:
            return
        for place, total in (await self._store.add(minute, told)).items():
            count = counted[place]
            if count.minute == minute:
                count.shared, count.previous = total.requests, max(count.previous, total.previous)

    def _count(self, key: _Key, minute: int) -> Count:
        count = self._counts.get(key)
        if count is None:
            if len(self._counts) >= COUNTS_MAX:
                # The one that was made first.
                del self._counts[next(iter(self._counts))]
            count = self._counts[key] = Count(minute)
        count.turn_to(minute)
        return count

    def _bucket(self, key: _Key) -> bytes:
        limit, clinic_id, who = key
        text = f"{limit.name}\0{clinic_id}\0{who}"
        return hmac.digest(self._key, text.encode(), hashlib.sha256)[:_BUCKET_BYTES]

    def _forget(self, minute: int) -> None:
        old = [key for key, count in self._counts.items() if count.minute < minute - 1]
        for key in old:
            del self._counts[key]

    async def _work_forever(self) -> None:
        while not self.is_stopping:
            await asyncio.sleep(SHARE_EVERY_S)
            try:
                await self.share()
            except Unavailable:
                self._note_alone("counts could not be shared")
            except Exception:  # noqa: BLE001 - a door of its own: a bug here must not end the sharing in silence
                _log.exception("counts could not be shared")
            else:
                self._is_alone = False

    def _note_alone(self, sentence: str) -> None:
        # Said once, not every second.
        if not self._is_alone:
            _log.warning(sentence)
        self._is_alone = True
