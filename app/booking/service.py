"""Booking a slot."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from app.booking import rules, sql
from app.consultation.rules import SCHEDULED, Consultation
from app.db.database import Database
from app.idempotency.rules import Key
from app.idempotency.service import Attempt, Once, run_once
from app.kit.errors import DomainError, Unauthenticated
from app.kit.ids import uuid7

OPERATION = sql.OPERATION
REFUSING = frozenset({
    "ex_consultations_patient_overlap",
    "fk_consultations_doctor",
    "fk_consultations_patient",
    "tr_consultations_not_hoarded",
    "uq_consultations_idempotency_key",
    "uq_consultations_slot_id_live",
})  # fmt: skip


async def book_slot(db: Database, *, slot_id: int, key: Key, request_id: str) -> Once[Consultation]:
    """A scheduled consultation of the key's patient in this slot: made once, however often it is asked for.

    Raises `SlotNotFound`, `SlotAlreadyYours`, `SlotUnavailable`, `PatientOverlap`, `BookingLimitReached`, and what
    `run_once` raises.
    """
    return await run_once(db, _BookSlot(db=db, slot_id=slot_id, key=key, request_id=request_id), key)


@dataclass(frozen=True, slots=True, kw_only=True)
class _BookSlot:
    """The command, as `idempotency.service.Command` wants it."""

    db: Database
    slot_id: int
    key: Key
    request_id: str

    @property
    def refusing(self) -> frozenset[str]:
        return REFUSING

    async def attempt(self) -> Attempt[Consultation]:
        attempt = await self.db.one(
            sql.BOOK_SLOT,
            clinic_id=self.key.clinic_id,
            patient_id=self.key.user_id,
            key=self.key.value,
            fingerprint=self.key.fingerprint,
            slot_id=self.slot_id,
            consultation_id=uuid7(),
            audit_id=uuid7(),
            event_id=uuid7(),
            request_id=self.request_id,
        )
        return attempt or Attempt(has_claimed=False, result=None)

    async def reason(self, constraint: str | None) -> DomainError:
        found = await self.db.one(
            sql.CIRCUMSTANCES,
            clinic_id=self.key.clinic_id,
            patient_id=self.key.user_id,
            key=self.key.value,
            slot_id=self.slot_id,
        )
        assert found is not None, "a select without FROM has one row"
        if constraint == "fk_consultations_patient":
            # The role was changed at this very moment: who is no patient is told nothing under the key.
            raise Unauthenticated
        return rules.reason(
            slot_exists=found.slot_exists,
            consultation_under_key=found.consultation_under_key,
            consultation_of_patient=found.consultation_of_patient,
            patient_is_busy=constraint == "ex_consultations_patient_overlap",
            patient_hoards=constraint == "tr_consultations_not_hoarded",
        )

    async def recorded(self, outcome: dict[str, Any] | None) -> Consultation | None:
        if outcome is not None:
            return None
        consultation = await self.db.one(
            sql.BOOKED_UNDER_KEY,
            clinic_id=self.key.clinic_id,
            patient_id=self.key.user_id,
            key=self.key.value,
        )
        if consultation is None:
            return None
        # What happened to it later is not part of the first answer.
        return replace(consultation, status=SCHEDULED, completed_at=None, cancelled_at=None, cancel_reason=None)

    def made_at(self, result: Consultation) -> datetime:
        return result.created_at

    def location(self, result: Consultation) -> str:
        return rules.location(result.id)


def location(consultation_id: UUID) -> str:
    """The address of the consultation that a booking made."""
    return rules.location(consultation_id)
