"""The booking: one statement, one round trip, one transaction (docs/decisions/0001)."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, LargeBinary, bindparam, exists, func, select

from app.audit.clauses import record
from app.availability.clauses import claim_slot
from app.availability.models import availability_slots as slots
from app.consultation.clauses import schedule
from app.consultation.models import consultations, public
from app.consultation.rules import Consultation
from app.db.schema import Text, Uuid
from app.db.statement import Statement, Together, calls, compiled, constant, locking_calls
from app.idempotency.clauses import claim_key, forget_keys
from app.idempotency.models import idempotency_keys as keys
from app.idempotency.service import Attempt
from app.identity.users.clauses import active_patients
from app.outbox.clauses import announce

OPERATION = "book_slot"
_ONE_A_KEY = Together(apart_by=("patient_id", "key"))


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the world looked like to a booking that was refused."""

    slot_exists: bool
    consultation_under_key: UUID | None
    consultation_of_patient: UUID | None


def _attempt(*values: Any) -> Attempt[Consultation]:
    """A row means that the key was claimed; without a slot all its columns are null."""
    return Attempt(has_claimed=True, result=None if values[0] is None else Consultation(*values))


def _book() -> Statement[Attempt[Consultation]]:
    """All bookings that are asked for at one moment, each under its own key."""
    wish = locking_calls(
        patient_id=Uuid(),
        key=Text(),
        fingerprint=LargeBinary(),
        slot_id=BigInteger(),
        consultation_id=Uuid(),
        audit_id=Uuid(),
        event_id=Uuid(),
        request_id=Text(),
    )
    patient = active_patients(wish)
    key = claim_key(
        patient,
        operation=OPERATION,
        user_id=patient.c.patient_id,
        key=patient.c.key,
        fingerprint=patient.c.fingerprint,
    )
    admitted = (
        select(*patient.c)
        .join_from(
            patient,
            key,
            (key.c.clinic_id == patient.c.clinic_id)
            & (key.c.user_id == patient.c.patient_id)
            & (key.c.key == patient.c.key),
        )
        .cte("admitted")
    )
    slot = claim_slot(admitted, admitted.c.patient_id, admitted.c.consultation_id, admitted.c.key)
    consultation = schedule(slot)
    booked = admitted.join(consultation, consultation.c.id == admitted.c.consultation_id)
    what: dict[str, Any] = {"entity_id": consultation.c.id, "clinic_id": consultation.c.clinic_id}
    audit = record(
        booked,
        action="consultation.booked",
        entity_type="consultation",
        row_id=admitted.c.audit_id,
        actor_id=consultation.c.patient_id,
        actor_role=constant("patient"),
        request_id=admitted.c.request_id,
        details=func.jsonb_build_object(constant("slot_id"), consultation.c.slot_id),
        **what,
    )
    event = announce(booked, topic="consultation.booked", event_id=admitted.c.event_id, **what)
    query = select(admitted.c.place, *public(consultation)).select_from(
        admitted.join(consultation, consultation.c.id == admitted.c.consultation_id, isouter=True)
    )
    return compiled("book_slot", query.add_cte(audit, event), _attempt, is_write=True, together=_ONE_A_KEY)


BOOK_SLOT = _book()

_OWN = (consultations.c.clinic_id == bindparam("clinic_id")) & (
    consultations.c.patient_id == bindparam("patient_id", type_=Uuid)
)
_UNDER_KEY = _OWN & (consultations.c.idempotency_key == bindparam("key", type_=Text))


def _circumstances() -> Statement[Circumstances]:
    wish = calls(patient_id=Uuid(), key=Text(), slot_id=BigInteger())
    own = (consultations.c.clinic_id == wish.c.clinic_id) & (consultations.c.patient_id == wish.c.patient_id)
    query = select(
        wish.c.place,
        exists()
        .where(
            slots.c.clinic_id == wish.c.clinic_id,
            slots.c.id == wish.c.slot_id,
            slots.c.status != constant("withdrawn"),
        )
        .label("slot_exists"),
        select(consultations.c.id)
        .where(own, consultations.c.idempotency_key == wish.c.key)
        .scalar_subquery()
        .label("consultation_under_key"),
        select(consultations.c.id)
        .where(own, consultations.c.slot_id == wish.c.slot_id, consultations.c.status != constant("cancelled"))
        .scalar_subquery()
        .label("consultation_of_patient"),
    ).select_from(wish)
    return compiled("circumstances_of_refused_booking", query, Circumstances, together=Together())


CIRCUMSTANCES = _circumstances()

# The key's consultation as it was when it was booked.
BOOKED_UNDER_KEY = compiled("booked_under_key", select(*public()).where(_UNDER_KEY), Consultation)

# `uq_consultations_idempotency_key` keeps these from booking again.
FORGET_KEYS = compiled(
    "forget_booking_keys",
    forget_keys(
        operation=OPERATION,
        is_recorded=exists().where(
            consultations.c.clinic_id == keys.c.clinic_id,
            consultations.c.patient_id == keys.c.user_id,
            consultations.c.idempotency_key == keys.c.key,
        ),
    ),
    int,
    is_write=True,
)
