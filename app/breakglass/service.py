"""Opening a record in an emergency, and reviewing that it was one."""

from uuid import UUID

from app.breakglass import sql
from app.breakglass.errors import AlreadyReviewed
from app.breakglass.rules import Grant
from app.db.database import Database
from app.identity.rules import Principal
from app.kit.errors import Forbidden, NotFound
from app.kit.ids import uuid7, uuids7


async def open_record(db: Database, *, patient_id: UUID, reason: str, actor: Principal, request_id: str) -> Grant:
    """The doctor may read this patient's record for an hour; each call is a grant with a reason of its own.

    Raises `NotFound` for whoever is no patient of the clinic.
    """
    granted = await db.one(
        sql.OPEN,
        clinic_id=actor.clinic_id,
        grant_id=uuid7(),
        patient_id=patient_id,
        reason=reason,
        event_id=uuid7(),
        **_trace(actor, request_id),
    )
    if granted is None:
        raise NotFound
    return granted


async def review(db: Database, *, grant_id: UUID, note: str | None, actor: Principal, request_id: str) -> Grant:
    """The grant with its review, of which there is one. Raises `NotFound`, `AlreadyReviewed`, `Forbidden`."""
    which = {"clinic_id": actor.clinic_id, "id": grant_id}
    reviewed = await db.one(sql.REVIEW, **which, note=note, **_trace(actor, request_id))
    if reviewed is not None:
        return reviewed
    present = await db.one(sql.GRANT, **which)
    if present is None:
        raise NotFound
    if present.doctor_id == actor.user_id:
        # A doctor who has become an admin.
        raise Forbidden("You opened this record yourself; somebody else must review it.")
    raise AlreadyReviewed


async def find_grants(
    db: Database, *, reviewed: bool | None, after: UUID | None, limit: int, actor: Principal, request_id: str
) -> list[Grant]:
    """The clinic's grants, oldest first, after the one with id `after`; audit rows tell who looked."""
    given = set() if reviewed is None else {"reviewed" if reviewed else "unreviewed"}
    position = {} if after is None else {"after_id": after}
    return await db.many(
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


def _trace(actor: Principal, request_id: str) -> dict[str, object]:
    return {
        "actor_id": actor.user_id,
        "actor_role": actor.role,
        "audit_id": uuid7(),
        "request_id": request_id,
    }
