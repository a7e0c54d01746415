"""The CTEs that take a slot and give it back inside a booking's or a cancellation's statement."""

from typing import Any

from sqlalchemy import CTE, ColumnElement, FromClause, func, select, update

from app.availability.models import availability_slots as slots
from app.db.statement import constant
from app.identity.users.clauses import is_active_doctor


def claim_slot(wish: FromClause, *also: ColumnElement[Any]) -> CTE:
    """The slot of each wish, if it is open, yet to begin, and its doctor is active; now booked.

    `wish` gives `clinic_id` and `slot_id`; its columns `also` come along. The row lock and the check are one: whoever
    waited for the lock has the condition checked again on the new row. Of two wishes for one slot, one gets it.
    """
    in_order = select(wish.c.clinic_id, wish.c.slot_id, *also).order_by(wish.c.clinic_id, wish.c.slot_id)
    wanted = in_order.subquery("wanted")
    return (
        update(slots)
        .where(
            slots.c.clinic_id == wanted.c.clinic_id,
            slots.c.id == wanted.c.slot_id,
            slots.c.status == constant("open"),
            slots.c.starts_at > func.now(),
            is_active_doctor(slots.c.clinic_id, slots.c.doctor_id),
        )
        .values(status=constant("booked"))
        .returning(
            slots.c.clinic_id,
            slots.c.id,
            slots.c.doctor_id,
            slots.c.starts_at,
            slots.c.ends_at,
            *(wanted.c[str(column.key)] for column in also),
        )
        .cte("slot")
    )


def reopen_slot(cancelled: CTE) -> CTE:
    """The slot of a cancelled consultation, open again unless it has begun."""
    return (
        update(slots)
        .where(
            slots.c.clinic_id == cancelled.c.clinic_id,
            slots.c.id == cancelled.c.slot_id,
            slots.c.starts_at > func.now(),
        )
        .values(status=constant("open"))
        .returning(slots.c.id)
        .cte("reopened_slot")
    )
