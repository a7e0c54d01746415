"""Issuing and reading prescriptions."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from app.db.database import Database
from app.idempotency.rules import Key
from app.idempotency.service import Attempt, Once, run_once
from app.identity.rules import Principal
from app.kit.errors import DomainError, NotFound
from app.kit.ids import uuid7
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
        db=db, consultation_id=consultation_id, items=items, notes=notes, key=key, request_id=request_id
    )
    return await run_once(db, command, key)


async def read_prescription(db: Database, *, prescription_id: UUID, actor: Principal, request_id: str) -> Prescription:
    """A prescription that the actor received or issued; an audit row tells, unless the actor is its patient.

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
    return found


async def find_own_prescriptions(
    db: Database, *, actor: Principal, before: UUID | None, limit: int
) -> list[Prescription]:
    """What the actor received (a patient) or issued (a doctor), newest first, after the one with id `before`."""
    values: dict[str, object] = {f"{actor.role}_id": actor.user_id}
    if before is not None:
        values["before_id"] = before
    return await db.many(sql.prescriptions_of(frozenset(values)), clinic_id=actor.clinic_id, rows=limit, **values)


@dataclass(frozen=True, slots=True, kw_only=True)
class _IssuePrescription:
    """The command, as `idempotency.service.Command` wants it."""

    db: Database
    consultation_id: UUID
    items: list[dict[str, Any]]
    notes: str | None
    key: Key
    request_id: str

    @property
    def refusing(self) -> frozenset[str]:
        return REFUSING

    async def attempt(self) -> Attempt[Prescription]:
        attempt = await self.db.one(
            sql.ISSUE,
            clinic_id=self.key.clinic_id,
            actor_id=self.key.user_id,
            actor_role="doctor",
            key=self.key.value,
            fingerprint=self.key.fingerprint,
            consultation_id=self.consultation_id,
            prescription_id=uuid7(),
            items=self.items,
            notes=self.notes,
            audit_id=uuid7(),
            event_id=uuid7(),
            request_id=self.request_id,
        )
        return attempt or Attempt(has_claimed=False, result=None)

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
        return await self.db.one(
            sql.ISSUED_UNDER_KEY,
            clinic_id=self.key.clinic_id,
            doctor_id=self.key.user_id,
            key=self.key.value,
        )

    def made_at(self, result: Prescription) -> datetime:
        return result.created_at

    def location(self, result: Prescription) -> str:
        return rules.location(result.id)
