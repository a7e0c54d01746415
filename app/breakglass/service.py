"""Opening a record in an emergency, and reviewing that it was one."""

from dataclasses import replace
from uuid import UUID

from app.breakglass import sql
from app.breakglass.errors import AlreadyReviewed
from app.breakglass.rules import Grant
from app.db.database import Database
from app.encryption.rules import EMERGENCY, REVIEW_NOTE, KeyRing, Writing
from app.identity.rules import Principal
from app.kit.errors import Forbidden, NotFound
from app.kit.ids import uuid7, uuids7


async def open_record(
    db: Database, ring: KeyRing, *, patient_id: UUID, reason: str, actor: Principal, request_id: str
) -> Grant:
    """The doctor may read this patient's record for an hour; each call is a grant with a reason of its own.

    Raises `NotFound` for whoever is no patient of the clinic.
    """
    grant_id = uuid7()
    granted = await db.one(
        sql.OPEN,
        clinic_id=actor.clinic_id,
        grant_id=grant_id,
        patient_id=patient_id,
        **ring.seal(Writing(EMERGENCY, actor.clinic_id, grant_id), reason=reason),
        event_id=uuid7(),
        **_trace(actor, request_id),
    )
    if granted is None:
        raise NotFound
    return _opened(ring, actor.clinic_id, granted)


async def review(
    db: Database, ring: KeyRing, *, grant_id: UUID, note: str | None, actor: Principal, request_id: str
) -> Grant:
    """The grant with its review, of which there is one. Raises `NotFound`, `AlreadyReviewed`, `Forbidden`."""
    which = {"clinic_id": actor.clinic_id, "id": grant_id}
    sealed = ring.seal(Writing(REVIEW_NOTE, actor.clinic_id, grant_id), review_note=note)
    reviewed = await db.one(sql.REVIEW, **which, **sealed, **_trace(actor, request_id))
    if reviewed is not None:
        return _opened(ring, actor.clinic_id, reviewed)
    present = await db.one(sql.GRANT, **which)
    if present is None:
        raise NotFound
    if present.grant.doctor_id == actor.user_id:
        # A doctor who has become an admin.
        raise Forbidden("You opened this record yourself; somebody else must review it.")
    raise AlreadyReviewed


async def find_grants(
    db: Database,
    ring: KeyRing,
    *,
    reviewed: bool | None,
    after: UUID | None,
    limit: int,
    actor: Principal,
    request_id: str,
) -> list[Grant]:
    """The clinic's grants, oldest first, after the one with id `after`; audit rows tell who looked."""
    given = set() if reviewed is None else {"reviewed" if reviewed else "unreviewed"}
    position = {} if after is None else {"after_id": after}
    rows = await db.many(
        sql.grants_of_clinic(frozenset(given | position.keys())),
        clinic_id=actor.clinic_id,
        rows=limit,
        **position,
        actor_id=actor.user_id,
        actor_role=actor.role,
        audit_ids=uuids7(limit),
        request_id=request_id,
        details={"filters": {} if reviewed is None else {"reviewed": reviewed}},
    )
    return [_opened(ring, actor.clinic_id, row) for row in rows]


def _opened(ring: KeyRing, clinic_id: int, kept: sql.KeptGrant) -> Grant:
    id = kept.grant.id
    reason = ring.unseal(Writing(EMERGENCY, clinic_id, id), kept.reason_key, {"reason": kept.reason})
    note = ring.unseal(Writing(REVIEW_NOTE, clinic_id, id), kept.note_key, {"review_note": kept.review_note})
    return replace(kept.grant, reason=reason["reason"], review_note=note["review_note"])


def _trace(actor: Principal, request_id: str) -> dict[str, object]:
    return {
        "actor_id": actor.user_id,
        "actor_role": actor.role,
        "audit_id": uuid7(),
        "request_id": request_id,
    }
