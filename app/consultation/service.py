"""Holding, completing, cancelling and finding consultations."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from app.consultation import sql
from app.consultation.errors import InvalidTransition, TooLate
from app.consultation.rules import CANCELLED, COMPLETED, SCHEDULED, Consultation, may_change
from app.db.database import Database
from app.db.statement import Statement
from app.encryption.rules import CANCELLATION, KeyRing, Sealed, Writing
from app.identity.rules import PATIENT, Principal
from app.kit.errors import Forbidden, NotFound
from app.kit.ids import uuid7, uuids7

Filters = Mapping[str, object]
# The start and the id of the last consultation on the page before.
Position = tuple[datetime, UUID]


async def change_status(
    db: Database,
    ring: KeyRing,
    *,
    consultation_id: UUID,
    status: str,
    reason: str | None,
    actor: Principal,
    request_id: str,
) -> Consultation:
    """The consultation in its new state; cancelling one that has not begun opens its slot again.

    Repeating the present state changes nothing. Of two callers racing to complete and to cancel, one wins: the state
    it leaves is a condition of the update. Raises `NotFound`, `Forbidden`, `InvalidTransition`, `TooLate`.
    """
    if may_change(actor.role, before=SCHEDULED, after=status):
        statement, texts = _transition(
            ring, _cancellation(actor.clinic_id, consultation_id), status=status, reason=reason
        )
        changed = await db.one(
            statement,
            **texts,
            clinic_id=actor.clinic_id,
            id=consultation_id,
            actor_id=actor.user_id,
            actor_role=actor.role,
            audit_id=uuid7(),
            event_id=uuid7(),
            request_id=request_id,
        )
        if changed is not None:
            return _opened(ring, actor.clinic_id, changed)
    who = {"actor_id": actor.user_id, "actor_role": actor.role}
    kept = await db.one(sql.CONSULTATION, clinic_id=actor.clinic_id, id=consultation_id, **who)
    if kept is None:
        raise NotFound
    present = _opened(ring, actor.clinic_id, kept)
    if present.status == status:
        return present
    if present.status != SCHEDULED or status == SCHEDULED:
        raise InvalidTransition
    if not may_change(actor.role, before=SCHEDULED, after=status):
        raise Forbidden
    # Its state, its people and the role were right, so the update refused for the one condition that is left.
    raise TooLate


async def read_consultation(
    db: Database, ring: KeyRing, *, consultation_id: UUID, actor: Principal, request_id: str
) -> Consultation:
    """A consultation that the actor has to do with, or a break-glass grant for its patient.

    An audit row tells, unless the actor is its patient.

    Raises `NotFound` for every other.
    """
    which = {"clinic_id": actor.clinic_id, "id": consultation_id}
    who = {"actor_id": actor.user_id, "actor_role": actor.role}
    if actor.role == PATIENT:
        # Nothing to record: a patient can only be its patient.
        found = await db.one(sql.CONSULTATION, **which, **who)
    else:
        found = await db.one(sql.READ_CONSULTATION, **which, **who, audit_id=uuid7(), request_id=request_id)
    if found is None:
        raise NotFound
    return _opened(ring, actor.clinic_id, found)


async def find_own_consultations(
    db: Database, ring: KeyRing, *, actor: Principal, filters: Filters, before: Position | None, limit: int
) -> list[Consultation]:
    """The consultations of a patient or a doctor that match, newest start first, after the one at `before`."""
    values = _given({**filters, f"{actor.role}_id": actor.user_id}, before)
    statement = sql.consultations_of_person(frozenset(values) - {"before_id"})
    rows = await db.many(statement, clinic_id=actor.clinic_id, rows=limit, **values)
    return [_opened(ring, actor.clinic_id, row) for row in rows]


async def find_consultations(
    db: Database,
    ring: KeyRing,
    *,
    actor: Principal,
    filters: Filters,
    before: Position | None,
    limit: int,
    request_id: str,
) -> list[Consultation]:
    """The clinic's consultations that match, as `find_own_consultations` tells them; audit rows tell who saw whose."""
    values = _given(filters, before)
    searched = {name.rstrip("_"): str(value) for name, value in filters.items() if value is not None}
    rows = await db.many(
        sql.consultations_of_clinic(frozenset(values) - {"before_id"}),
        clinic_id=actor.clinic_id,
        rows=limit,
        actor_id=actor.user_id,
        actor_role=actor.role,
        audit_ids=uuids7(limit),
        request_id=request_id,
        details={"filters": searched},
        **values,
    )
    return [_opened(ring, actor.clinic_id, row) for row in rows]


async def find_consultations_of_patient(
    db: Database,
    ring: KeyRing,
    *,
    patient_id: UUID,
    actor: Principal,
    filters: Filters,
    before: Position | None,
    limit: int,
    request_id: str,
) -> list[Consultation]:
    """All consultations of a patient for whom the doctor has a break-glass grant in force, told as in other lists.

    Raises `NotFound` without one, whoever the patient is.
    """
    values = _given({**filters, "patient_id": patient_id}, before)
    rows = await db.many(
        sql.consultations_of_patient(frozenset(values) - {"before_id"}),
        clinic_id=actor.clinic_id,
        rows=limit,
        actor_id=actor.user_id,
        actor_role=actor.role,
        audit_id=uuid7(),
        request_id=request_id,
        **values,
    )
    if not rows:
        raise NotFound
    return [_opened(ring, actor.clinic_id, row) for row in rows if row is not None]


def _given(filters: Filters, before: Position | None) -> dict[str, object]:
    values = {name: value for name, value in filters.items() if value is not None}
    return values if before is None else {**values, "before_at": before[0], "before_id": before[1]}


def _opened(ring: KeyRing, clinic_id: int, kept: sql.Kept) -> Consultation:
    if not isinstance(kept, Sealed):
        return kept
    texts = ring.unseal(_cancellation(clinic_id, kept.record.id), kept.data_key, kept.texts)
    return replace(kept.record, cancel_reason=texts["cancel_reason"])


def _cancellation(clinic_id: int, consultation_id: UUID) -> Writing:
    return Writing(CANCELLATION, clinic_id, consultation_id)


def _transition(
    ring: KeyRing, writing: Writing, *, status: str, reason: str | None
) -> tuple[Statement[sql.Kept], dict[str, bytes | None]]:
    """The guarded update that leads to `status`, and the text that goes with it."""
    if status == COMPLETED:
        return sql.COMPLETE, {}
    assert status == CANCELLED, "the table of transitions has two ways out"
    return sql.CANCEL, ring.seal(writing, cancel_reason=reason)
