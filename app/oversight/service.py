"""Who had to do with somebody's record."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from app.db.database import Database
from app.encryption.rules import EMERGENCY, KeyRing, Writing
from app.identity.rules import Principal
from app.oversight import sql
from app.oversight.sql import Access


async def find_accesses(
    db: Database,
    ring: KeyRing,
    *,
    principal: Principal,
    filters: Mapping[str, object],
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Access]:
    """What others did with the caller's records, newest first, after the row at `before`."""
    values = {name: value for name, value in filters.items() if value is not None}
    given = frozenset(values)
    if before is not None:
        given |= {"before_at"}
        values.update(before_at=before[0], before_id=before[1])
    rows = await db.many(
        sql.accesses_to(given), clinic_id=principal.clinic_id, subject_id=principal.user_id, rows=limit, **values
    )
    return [_opened(ring, principal.clinic_id, row) for row in rows]


def _opened(ring: KeyRing, clinic_id: int, kept: sql.KeptAccess) -> Access:
    if isinstance(kept, Access):
        return kept
    grant_id, sealed = kept
    texts = ring.unseal(Writing(EMERGENCY, clinic_id, grant_id), sealed.data_key, sealed.texts)
    return replace(sealed.record, reason=texts["reason"])
