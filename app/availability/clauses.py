"""The CTEs that take a slot and give it back inside a booking's or a cancellation's statement."""

from sqlalchemy import CTE, BigInteger, bindparam, func, select, update

from app.availability.models import availability_slots as slots
from app.db.statement import constant
from app.identity.users.clauses import is_active_doctor


def claim_slot(claimed_key: CTE) -> CTE:
    """The slot, if it is open, yet to begin, and its doctor is active; now booked. Binds `clinic_id`, `slot_id`.

    The row lock and the check are one: whoever waited for the lock has the condition checked again on the new row.
    """
    return (
        update(slots)
        .where(
            slots.c.clinic_id == bindparam("clinic_id"),
            slots.c.id == bindparam("slot_id", type_=BigInteger),
            slots.c.status == constant("open"),
            slots.c.starts_at > func.now(),
            select(claimed_key.c.key).exists(),
            is_active_doctor(slots.c.clinic_id, slots.c.doctor_id),
        )
        .values(status=constant("booked"))
        .returning(slots.c.clinic_id, slots.c.id, slots.c.doctor_id, slots.c.starts_at, slots.c.ends_at)
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
