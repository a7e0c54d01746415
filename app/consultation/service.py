"""Holding, completing, cancelling and finding consultations."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from app.consultation import sql
from app.consultation.errors import InvalidTransition, TooLate
from app.consultation.rules import CANCELLED, COMPLETED, SCHEDULED, Consultation, may_change
from app.db.database import Database
from app.identity.rules import Principal
from app.kit.errors import Forbidden, NotFound
from app.kit.ids import uuid7


async def change_status(
    db: Database, *, consultation_id: UUID, status: str, reason: str | None, actor: Principal, request_id: str
) -> Consultation:
    """The consultation in its new state; cancelling one that has not begun opens its slot again.

    Repeating the present state changes nothing. Of two callers racing to complete and to cancel, one wins: the state
    it leaves is a condition of the update. Raises `NotFound`, `Forbidden`, `InvalidTransition`, `TooLate`.
    """
    if may_change(actor.role, before=SCHEDULED, after=status):
        changed = await _change(db, consultation_id, status=status, reason=reason, actor=actor, request_id=request_id)
        if changed is not None:
            return changed
    present = await get_consultation(db, consultation_id=consultation_id, actor=actor)
    if present.status == status:
        return present
    if present.status != SCHEDULED or status == SCHEDULED:
        raise InvalidTransition
    if not may_change(actor.role, before=SCHEDULED, after=status):
        raise Forbidden
    # Its state, its people and the role were right, so the update refused for the one condition that is left.
    raise TooLate


async def get_consultation(db: Database, *, consultation_id: UUID, actor: Principal) -> Consultation:
    """A consultation that the actor has to do with. Raises `NotFound` for every other."""
    found = await db.one(
        sql.CONSULTATION,
        clinic_id=actor.clinic_id,
        id=consultation_id,
        actor_id=actor.user_id,
        actor_role=actor.role,
    )
    if found is None:
        raise NotFound
    return found


async def find_consultations(
    db: Database,
    *,
    clinic_id: int,
    filters: Mapping[str, object],
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Consultation]:
    """The clinic's consultations that match, newest start first, after the one at `before`."""
    values = {name: value for name, value in filters.items() if value is not None}
    given = frozenset(values)
    if before is not None:
        given |= {"before_at"}
        values.update(before_at=before[0], before_id=before[1])
    return await db.many(sql.consultations_of_clinic(given), clinic_id=clinic_id, rows=limit, **values)


async def _change(
    db: Database, consultation_id: UUID, *, status: str, reason: str | None, actor: Principal, request_id: str
) -> Consultation | None:
    values = {
        "clinic_id": actor.clinic_id,
        "id": consultation_id,
        "actor_id": actor.user_id,
        "actor_role": actor.role,
        "audit_id": uuid7(),
        "event_id": uuid7(),
        "request_id": request_id,
    }
    if status == COMPLETED:
        return await db.one(sql.COMPLETE, **values)
    assert status == CANCELLED, "the table of transitions has two ways out"
    return await db.one(sql.CANCEL, reason=reason, **values)
