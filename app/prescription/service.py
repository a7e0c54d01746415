"""Issuing and reading prescriptions."""

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from app.db.database import Database
from app.encryption.rules import PRESCRIPTION, KeyRing, Sealed, Writing
from app.idempotency.rules import Key
from app.idempotency.service import Attempt, Once, run_once
from app.identity.rules import DOCTOR, Principal
from app.kit.errors import DomainError, NotFound
from app.kit.ids import uuid7, uuids7
from app.prescription import rules, sql
from app.prescription.rules import Prescription

OPERATION = sql.OPERATION
REFUSING = frozenset({
    "fk_prescriptions_consultation",
    "uq_prescriptions_clinic_id_consultation_id",
    "uq_prescriptions_idempotency_key",
})  # fmt: skip


async def issue_prescription(
    db: Database,
    ring: KeyRing,
    *,
    consultation_id: UUID,
    items: list[dict[str, Any]],
    notes: str | None,
    key: Key,
    request_id: str,
) -> Once[Prescription]:
    """The prescription of the doctor's completed consultation: made once, never edited.

    Raises `NotFound`, `ConsultationNotCompleted`, `PrescriptionExists`, and what `run_once` raises.
    """
    command = _IssuePrescription(
        db=db, ring=ring, consultation_id=consultation_id, items=items, notes=notes, key=key, request_id=request_id
    )
    return await run_once(db, command, key)


async def read_prescription(
    db: Database, ring: KeyRing, *, prescription_id: UUID, actor: Principal, request_id: str
) -> Prescription:
    """A prescription that the actor received or issued, or has a break-glass grant for.

    An audit row tells, unless the actor is its patient.

    Raises `NotFound` for every other.
    """
    found = await db.one(
        sql.READ_PRESCRIPTION,
        clinic_id=actor.clinic_id,
        id=prescription_id,
        actor_id=actor.user_id,
        actor_role=actor.role,
        audit_id=uuid7(),
        request_id=request_id,
    )
    if found is None:
        raise NotFound
    return _opened(ring, actor.clinic_id, found)


async def find_own_prescriptions(
    db: Database, ring: KeyRing, *, actor: Principal, before: UUID | None, limit: int, request_id: str
) -> list[Prescription]:
    """What the actor received (a patient) or issued (a doctor), newest first, after the one with id `before`.

    For a doctor they are other people's: audit rows tell.
    """
    values = _given(f"{actor.role}_id", actor.user_id, before)
    page = {"clinic_id": actor.clinic_id, "rows": limit, **values}
    if actor.role != DOCTOR:
        rows = await db.many(sql.prescriptions_of(frozenset(values)), **page)
    else:
        rows = await db.many(
            sql.prescriptions_by(frozenset(values)),
            **page,
            actor_id=actor.user_id,
            actor_role=actor.role,
            audit_ids=uuids7(limit),
            request_id=request_id,
            details={},
        )
    return [_opened(ring, actor.clinic_id, row) for row in rows]


async def find_prescriptions_of_patient(
    db: Database,
    ring: KeyRing,
    *,
    patient_id: UUID,
    actor: Principal,
    before: UUID | None,
    limit: int,
    request_id: str,
) -> list[Prescription]:
    """What a patient received for whom the doctor has a break-glass grant in force, newest first, after `before`.

    Raises `NotFound` without one, whoever the patient is.
    """
    values = _given("patient_id", patient_id, before)
    rows = await db.many(
        sql.prescriptions_of_patient(frozenset(values)),
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


def _given(person: str, person_id: UUID, before: UUID | None) -> dict[str, object]:
    return {person: person_id} if before is None else {person: person_id, "before_id": before}


def _writing(clinic_id: int, prescription_id: UUID) -> Writing:
    return Writing(PRESCRIPTION, clinic_id, prescription_id)


def _opened(ring: KeyRing, clinic_id: int, sealed: Sealed[Prescription]) -> Prescription:
    prescription = sealed.record
    texts = ring.unseal(_writing(clinic_id, prescription.id), sealed.data_key, sealed.texts)
    items = texts["items"]
    return replace(prescription, items=[] if items is None else json.loads(items), notes=texts["notes"])


@dataclass(frozen=True, slots=True, kw_only=True)
class _IssuePrescription:
    """The command, as `idempotency.service.Command` wants it."""

    db: Database
    ring: KeyRing
    consultation_id: UUID
    items: list[dict[str, Any]]
    notes: str | None
    key: Key
    request_id: str

    @property
    def refusing(self) -> frozenset[str]:
        return REFUSING

    async def attempt(self) -> Attempt[Prescription]:
        prescription_id = uuid7()
        writing = _writing(self.key.clinic_id, prescription_id)
        attempt = await self.db.one(
            sql.ISSUE,
            clinic_id=self.key.clinic_id,
            actor_id=self.key.user_id,
            actor_role="doctor",
            key=self.key.value,
            fingerprint=self.key.fingerprint,
            consultation_id=self.consultation_id,
            prescription_id=prescription_id,
            **self.ring.seal(writing, items=json.dumps(self.items, ensure_ascii=False), notes=self.notes),
            audit_id=uuid7(),
            event_id=uuid7(),
            request_id=self.request_id,
        )
        if attempt is None:
            return Attempt(has_claimed=False, result=None)
        return Attempt(attempt.has_claimed, self._opened(attempt.result))

    async def reason(self, constraint: str | None) -> DomainError:  # noqa: ARG002 - the circumstances tell it
        found = await self.db.one(
            sql.CIRCUMSTANCES,
            clinic_id=self.key.clinic_id,
            doctor_id=self.key.user_id,
            key=self.key.value,
            consultation_id=self.consultation_id,
        )
        assert found is not None, "a select without FROM has one row"
        return rules.reason(
            consultation_status=found.consultation_status,
            has_prescription=found.has_prescription,
            prescription_under_key=found.prescription_under_key,
        )

    async def recorded(self, outcome: dict[str, Any] | None) -> Prescription | None:
        if outcome is not None:
            return None
        issued = await self.db.one(
            sql.ISSUED_UNDER_KEY,
            clinic_id=self.key.clinic_id,
            doctor_id=self.key.user_id,
            key=self.key.value,
        )
        return self._opened(issued)

    def _opened(self, sealed: Sealed[Prescription] | None) -> Prescription | None:
        return None if sealed is None else _opened(self.ring, self.key.clinic_id, sealed)

    def made_at(self, result: Prescription) -> datetime:
        return result.created_at

    def location(self, result: Prescription) -> str:
        return rules.location(result.id)
