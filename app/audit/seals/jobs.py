"""Sealing what is old enough that nothing can come before it any more."""

import asyncio
from datetime import datetime, timedelta

from app.audit.seals import sql
from app.audit.seals.rules import START, Seal, instant, microseconds, of_one_month, sealed
from app.audit.seals.sql import Mark
from app.db import turns
from app.db.database import Database
from app.db.session import Session
from app.kit.errors import Unavailable
from app.kit.signing import Signer

# Of a transaction that has not written anything yet nobody knows. Ours write within 25 s or not at all: a statement
# has 5 s, a transaction 8 s, a dead wire 25 s. The rest is for a clock that is set back.
GRACE = timedelta(seconds=60)
# What has written and not ended is waited for, at most 10 s in a round: it may wait for a standby for hours.
_SETTLE_TRIES, _PAUSE_S = 100, 0.1


async def seal(db: Database, *, signer: Signer, grace: timedelta = GRACE) -> int:
    """Seal every clinic's rows that are older than `grace`; how many rows.

    Raises `Unavailable` while an older transaction is open, anywhere on the server.

    1. Note the time, and take a transaction's number: whoever wrote anything before has a smaller one.
    2. Wait until all smaller ones have ended. What began before `grace` is now there to be seen, or will never be.
    3. Seal clinic by clinic, in turns of a batch.
    """
    mark = await db.one(sql.MARK, grace=grace)
    assert mark is not None, "it always answers"
    if not await _is_settled(db, mark):
        raise Unavailable
    count = 0
    for clinic_id in await db.many(sql.CLINICS_BEHIND, cut=mark.cut):
        while rows := await _seal_batch(db, clinic_id, signer, mark):
            count += rows
            await asyncio.sleep(_PAUSE_S if rows == turns.BATCH_ROWS else 0)
    return count


async def announce_drop(db: Database, *, clinic_id: int, signer: Signer, before: datetime) -> None:
    """A seal that says: rows before that moment may be gone from now on. Raises `Unavailable`."""
    for _ in range(_SETTLE_TRIES):
        async with turns.turn(db) as session:
            if session is not None and await _add_drop(session, clinic_id, signer, before):
                return
        await asyncio.sleep(_PAUSE_S)
    raise Unavailable


async def _is_settled(db: Database, mark: Mark) -> bool:
    for _ in range(_SETTLE_TRIES):
        if await db.one(sql.IS_SETTLED, transaction=mark.transaction):
            return True
        await asyncio.sleep(_PAUSE_S)
    return False


async def _seal_batch(db: Database, clinic_id: int, signer: Signer, mark: Mark) -> int:
    async with turns.turn(db) as session:
        if session is None:
            return 0
        newest = await session.one(sql.NEWEST, clinic_id=clinic_id)
        us, id = START if newest is None else newest.last
        entries = await session.many(
            sql.ROWS_TO_SEAL,
            clinic_id=clinic_id,
            after_at=instant(us),
            after_id=id,
            cut=mark.cut,
            rows=turns.BATCH_ROWS,
        )
        if not entries:
            return 0
        made = sealed(
            signer,
            of_one_month(entries),
            clinic_id=clinic_id,
            after=newest,
            now_us=microseconds(mark.now),
            dropped_us=None if newest is None else newest.dropped_before_us,
        )
        return made.rows if await _add(session, made) else 0


async def _add_drop(session: Session, clinic_id: int, signer: Signer, before: datetime) -> bool:
    newest = await session.one(sql.NEWEST, clinic_id=clinic_id)
    if newest is None or (newest.dropped_before_us or 0) >= microseconds(before):
        return True
    mark = await session.one(sql.MARK, grace=timedelta())
    assert mark is not None, "it always answers"
    made = sealed(
        signer,
        (),
        clinic_id=clinic_id,
        after=newest,
        now_us=microseconds(mark.now),
        dropped_us=microseconds(before),
    )
    return await _add(session, made)


async def _add(session: Session, made: Seal) -> bool:
    """Whether it is the one that got its number."""
    added = await session.execute(
        sql.ADD,
        clinic_id=made.clinic_id,
        number=made.number,
        rows=made.rows,
        first_at=instant(made.first[0]),
        first_id=made.first_id,
        last_at=instant(made.last[0]),
        last_id=made.last_id,
        root=made.root,
        previous=made.previous,
        sealed_at=instant(made.sealed_us),
        dropped_before=None if made.dropped_before_us is None else instant(made.dropped_before_us),
        key_id=made.key_id,
        signature=made.signature,
    )
    return added == 1
