"""Offering, finding and withdrawing slots."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from app.availability import rules, sql
from app.availability.errors import SlotBooked, SlotOverlap
from app.availability.rules import Interval, Slot
from app.db.database import Database
from app.db.errors import ConstraintViolation
from app.idempotency.rules import Key
from app.idempotency.service import Attempt, Once, is_used, run_once
from app.identity.rules import Principal
from app.kit.errors import DomainError, Invalid, NotFound, Unauthenticated
from app.kit.ids import uuid7

OPERATION_ONE, OPERATION_MANY = sql.OPERATION_ONE, sql.OPERATION_MANY
_OVERLAP = "ex_availability_slots_doctor_overlap"


async def offer_slots(
    db: Database,
    *,
    doctor: Principal,
    intervals: Sequence[Interval],
    key: Key | None,
    now: datetime,
    request_id: str,
) -> Once[list[Slot]]:
    """The doctor's new open slots, all or none, in the order given. Raises `Invalid`, `SlotOverlap`."""
    if errors := rules.shape_errors(intervals):
        raise Invalid(*errors)
    past = rules.past_errors(intervals, now=now)
    # A slot that lay in the future when it was first asked for is replayed however late the retry comes.
    if past and not (key and await is_used(db, key)):
        raise Invalid(*past)
    command = _OfferSlots(db=db, doctor=doctor, intervals=intervals, key=key, is_past=bool(past), request_id=request_id)
    if key is not None:
        return await run_once(db, command, key)
    try:
        slots = await command.offer()
    except ConstraintViolation as violation:
        raise await command.reason(violation.constraint) from violation
    if not slots:
        # The token says doctor, the database does not.
        raise Unauthenticated
    return Once(slots, is_replay=False)


async def find_slots(
    db: Database,
    *,
    clinic_id: int,
    doctor_id: UUID | None,
    status: str,
    window: tuple[datetime, datetime],
    after: tuple[datetime, int] | None,
    limit: int,
) -> list[str]:
    """The clinic's slots that start within the half-open window, by start, after the one at `after`.

    Each is a `Slot` as PostgreSQL spells it in JSON: of most pages nobody here looks into a slot.
    """
    values: dict[str, object] = {}
    if doctor_id is not None:
        values["doctor_id"] = doctor_id
    given = frozenset(values) | {status}
    if after is not None:
        given |= {"after_at"}
        values.update(after_at=after[0], after_id=after[1])
    begin, end = window
    return await db.many(sql.slots_of_clinic(given), clinic_id=clinic_id, begin=begin, end=end, rows=limit, **values)


async def withdraw_slot(db: Database, *, slot_id: int, actor: Principal, request_id: str) -> None:
    """The open slot is gone. Raises `NotFound` for what is not the actor's, `SlotBooked`."""
    who = {"clinic_id": actor.clinic_id, "id": slot_id, "actor_id": actor.user_id, "actor_role": actor.role}
    withdrawn = await db.one(sql.WITHDRAW, audit_id=uuid7(), request_id=request_id, **who)
    if withdrawn is None:
        slot = await db.one(sql.SLOT, **who)
        if slot is None:
            raise NotFound
        raise SlotBooked


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfferSlots:
    """The command, as `idempotency.service.Command` wants it."""

    db: Database
    doctor: Principal
    intervals: Sequence[Interval]
    is_past: bool
    key: Key | None
    request_id: str

    @property
    def refusing(self) -> frozenset[str]:
        return frozenset({_OVERLAP})

    async def attempt(self) -> Attempt[list[Slot]]:
        slots = [] if self.is_past else await self.offer()
        return Attempt(has_claimed=bool(slots), result=slots or None)

    async def offer(self) -> list[Slot]:
        statement, under_key = sql.OFFER, {}
        if self.key is not None:
            is_one = self.key.operation == OPERATION_ONE
            statement = sql.OFFER_ONE_UNDER_KEY if is_one else sql.OFFER_MANY_UNDER_KEY
            under_key = {"key": self.key.value, "fingerprint": self.key.fingerprint}
        return await self.db.many(
            statement,
            clinic_id=self.doctor.clinic_id,
            actor_id=self.doctor.user_id,
            actor_role=self.doctor.role,
            starts_at=[interval.starts_at for interval in self.intervals],
            ends_at=[interval.ends_at for interval in self.intervals],
            audit_ids=[uuid7() for _ in self.intervals],
            request_id=self.request_id,
            **under_key,
        )

    async def reason(self, constraint: str | None) -> DomainError:
        assert constraint == _OVERLAP, "a slot of a valid shape breaks no other"
        return SlotOverlap()

    async def recorded(self, outcome: dict[str, Any] | None) -> list[Slot] | None:
        if outcome is None or "slot_ids" not in outcome:
            return None
        return await self.db.many(sql.OFFERED, clinic_id=self.doctor.clinic_id, ids=outcome["slot_ids"])

    def made_at(self, result: list[Slot]) -> None:  # noqa: ARG002 - a slot does not know its key
        return None

    def location(self, result: list[Slot]) -> None:  # noqa: ARG002 - a slot has no address of its own
        return None
