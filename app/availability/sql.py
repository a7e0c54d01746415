"""Slots: offered, found, withdrawn."""

from collections.abc import Callable
from functools import cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    ColumnElement,
    FromClause,
    Text,
    any_,
    bindparam,
    cast,
    column,
    func,
    insert,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.types import TypeEngine

from app.audit.clauses import ACTOR_ID, ACTOR_ROLE, record
from app.availability.models import availability_slots as slots
from app.availability.rules import Slot
from app.db.schema import Instant, Uuid
from app.db.statement import Statement, Together, calls, compiled, constant
from app.idempotency.clauses import claim_key
from app.identity.users.clauses import active_user, is_active_doctor

OPERATION_ONE, OPERATION_MANY = "offer_slot", "offer_slots"

PUBLIC = [slots.c[name] for name in Slot.__dataclass_fields__]
_CLINIC = slots.c.clinic_id == bindparam("clinic_id")


def _wished() -> CTE:
    """The wished slots with their numbers, which are drawn first so that a key can keep the answer."""
    rows = (
        func.unnest(
            bindparam("starts_at", type_=ARRAY(Instant)),
            bindparam("ends_at", type_=ARRAY(Instant)),
            bindparam("audit_ids", type_=ARRAY(Uuid)),
        )
        .table_valued(column("starts_at", Instant), column("ends_at", Instant), column("audit_id", Uuid), name="wish")
        .render_derived()
    )
    return (
        select(
            func.nextval(constant("availability_slots_id_seq")).label("id"),
            rows.c.starts_at,
            rows.c.ends_at,
            rows.c.audit_id,
        )
        .select_from(rows)
        .cte("wished")
    )


def _numbers(wished: CTE) -> ColumnElement[Any]:
    return func.jsonb_build_object(
        constant("slot_ids"),
        select(func.jsonb_agg(wished.c.id)).select_from(wished).scalar_subquery(),
    )


def _offer(name: str, *, operation: str | None) -> Statement[Slot]:
    """All slots or none; under a key, or without one."""
    doctor = active_user("doctor")
    wished = _wished()
    owner: FromClause = doctor
    if operation is not None:
        owner = claim_key(doctor, operation=operation, outcome=_numbers(wished))
    doctor_id = owner.c.user_id if operation is not None else owner.c.id
    row = select(owner.c.clinic_id, wished.c.id, doctor_id.label("doctor_id"), wished.c.starts_at, wished.c.ends_at)
    offered = (
        insert(slots)
        .from_select(
            ["clinic_id", "id", "doctor_id", "starts_at", "ends_at"],
            # In one order, so that two bodies with the same times wait for each other in one direction only.
            row.select_from(owner.join(wished, true())).order_by(wished.c.starts_at),
        )
        .returning(slots.c.clinic_id, *PUBLIC)
        .cte("offered_slot")
    )
    audit = record(
        offered.join(wished, wished.c.id == offered.c.id),
        action="slot.created",
        entity_type="slot",
        entity_id=offered.c.id,
        clinic_id=offered.c.clinic_id,
        row_id=wished.c.audit_id,
    )
    query = select(*(offered.c[column] for column in Slot.__dataclass_fields__)).order_by(offered.c.id)
    return compiled(name, query.add_cte(audit), Slot, is_write=True, is_personal=True)


OFFER = _offer("offer_slots_without_key", operation=None)
OFFER_ONE_UNDER_KEY = _offer("offer_slot_under_key", operation=OPERATION_ONE)
OFFER_MANY_UNDER_KEY = _offer("offer_slots_under_key", operation=OPERATION_MANY)

# As they were offered: what happened to them later is no part of the first answer.
OFFERED = compiled(
    "offered_slots",
    select(slots.c.id, slots.c.doctor_id, slots.c.starts_at, slots.c.ends_at, constant("open").label("status"))
    .where(_CLINIC, slots.c.id == any_(bindparam("ids", type_=ARRAY(BigInteger))))
    .order_by(slots.c.id),
    Slot,
)

_ASKED: dict[str, dict[str, TypeEngine[Any]]] = {
    "doctor_id": {"doctor_id": Uuid()},
    "after_at": {"after_at": Instant, "after_id": BigInteger()},
}
_FILTERS: dict[str, Callable[[FromClause], ColumnElement[bool]]] = {
    "doctor_id": lambda ask: slots.c.doctor_id == ask.c.doctor_id,
    "open": lambda _: slots.c.status == constant("open"),
    "booked": lambda _: slots.c.status == constant("booked"),
    "after_at": lambda ask: tuple_(slots.c.starts_at, slots.c.id) > tuple_(ask.c.after_at, ask.c.after_id),
}
_PAGES_OF_ONE_LENGTH = Together(alike_by=("clinic_id", "rows"))


@cache
def slots_of_clinic(given: frozenset[str]) -> Statement[str]:
    """The clinic's slots within `[begin, end)` that match, by start, each as a JSON object (docs/decisions/0030).

    Open ones of active doctors only.
    """
    asked = {name: kind for filter_ in sorted(given & _ASKED.keys()) for name, kind in _ASKED[filter_].items()}
    ask = calls(begin=Instant, end=Instant, **asked)
    # The index of open slots holds every other column: with the word for the status no row of the table is read.
    columns = [*PUBLIC[:-1], constant("open").label("status")] if "open" in given else PUBLIC
    found = (
        select(*columns)
        .where(
            slots.c.clinic_id == ask.c.clinic_id,
            slots.c.starts_at >= ask.c.begin,
            slots.c.starts_at < ask.c.end,
            *(_FILTERS[name](ask) for name in sorted(given)),
        )
        .order_by(slots.c.starts_at, slots.c.id)
        .limit(bindparam("rows"))
    )
    if "open" in given:
        # Whether the one doctor who was asked for is active is looked up once a page, not once a slot.
        owner = ask.c if "doctor_id" in given else slots.c
        found = found.where(is_active_doctor(ask.c.clinic_id, owner.doctor_id))
    page = found.lateral("page")
    slot = cast(func.row_to_json(page.table_valued()), Text).label("slot")
    query = select(ask.c.place, slot).select_from(ask.join(page, true()))
    in_order = query.order_by(ask.c.place, page.c.starts_at, page.c.id)
    return compiled("slots_of_clinic", in_order, str, together=_PAGES_OF_ONE_LENGTH)


_ONE = _CLINIC & (slots.c.id == bindparam("id", type_=BigInteger)) & (slots.c.status != constant("withdrawn"))
_IS_CONCERNED = or_(constant("admin") == ACTOR_ROLE, slots.c.doctor_id == ACTOR_ID)


def _withdraw() -> Statement[int]:
    withdrawn = (
        update(slots)
        .where(_ONE, _IS_CONCERNED, slots.c.status == constant("open"))
        .values(status=constant("withdrawn"))
        .returning(slots.c.clinic_id, slots.c.id, slots.c.doctor_id)
        .cte("withdrawn_slot")
    )
    audit = record(
        withdrawn,
        action="slot.withdrawn",
        entity_type="slot",
        entity_id=withdrawn.c.id,
        clinic_id=withdrawn.c.clinic_id,
        subject_id=withdrawn.c.doctor_id,
    )
    return compiled("withdraw_slot", select(withdrawn.c.id).add_cte(audit), int, is_write=True, is_personal=True)


WITHDRAW = _withdraw()
SLOT = compiled("slot_for", select(*PUBLIC).where(_ONE, _IS_CONCERNED), Slot)
