"""Changing the key ring, and erasing a patient's text."""

from collections.abc import Callable
from uuid import UUID

from app.db.database import Database
from app.encryption import sql
from app.encryption.rules import KeyRing, Writing
from app.encryption.sql import DataKey
from app.kit.ids import uuid7

# A few milliseconds of work for the database and for us.
BATCH_ROWS = 500
_BEFORE_ALL = DataKey(clinic_id=-1, record_id=UUID(int=0), part="", wrapped=b"")


async def rotate(db: Database, ring: KeyRing, *, tell: Callable[[int], None]) -> int:
    """All data keys are wrapped with the ring's first secret; how many were not. `tell` hears it after each batch.

    Each batch is kept as it is done: who is interrupted begins again, and goes on where it ended. Texts stay as they
    are. Raises `Unavailable` if the ring lacks the secret of one.
    """
    done, last = 0, _BEFORE_ALL
    while True:
        found = await db.many(
            sql.WRAPPED_OTHERWISE,
            current_id=ring.current_id,
            after_clinic_id=last.clinic_id,
            after_record_id=last.record_id,
            after_part=last.part,
            rows=BATCH_ROWS,
        )
        if not found:
            return done
        await db.execute(
            sql.REWRAP,
            clinic_id=[one.clinic_id for one in found],
            record_id=[one.record_id for one in found],
            part=[one.part for one in found],
            before=[one.wrapped for one in found],
            after=[ring.rewrap(one.wrapped, _writing(one)) for one in found],
        )
        done, last = done + len(found), found[-1]
        tell(done)


async def erase(db: Database, *, clinic_id: int, patient_id: UUID, request_id: str) -> int:
    """Nobody can read the patient's clinical text any more; how many texts that were."""
    texts = await db.one(
        sql.ERASE,
        clinic_id=clinic_id,
        patient_id=patient_id,
        actor_id=None,
        actor_role=None,
        audit_id=uuid7(),
        request_id=request_id,
    )
    assert texts is not None, "an aggregate has one row"
    return texts


async def unreadable(db: Database, ring: KeyRing) -> int:
    """How many texts the ring does not open. Reads all data keys."""
    count = await db.one(sql.WRAPPED_BY_NONE_OF, ids=ring.ids)
    assert count is not None, "an aggregate has one row"
    return count


def _writing(key: DataKey) -> Writing:
    return Writing(key.part, key.clinic_id, key.record_id)
