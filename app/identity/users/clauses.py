"""The CTE that makes a command depend on who is calling, in the very statement that acts."""

from sqlalchemy import CTE, ColumnElement, FromClause, bindparam, select

from app.db.schema import Uuid
from app.db.statement import constant
from app.identity.users.models import doctors, users


def active_user(role: str, *, user_id: str = "actor_id") -> CTE:
    """The caller, if active and still of `role`. Binds `clinic_id` and the name given by `user_id`."""
    return (
        select(users.c.clinic_id, users.c.id)
        .where(
            users.c.clinic_id == bindparam("clinic_id"),
            users.c.id == bindparam(user_id, type_=Uuid),
            users.c.role == constant(role),
            users.c.is_active,
        )
        .cte(role)
    )


def active_patients(wish: FromClause) -> CTE:
    """The wishes whose `clinic_id` and `patient_id` are those of an active patient, as they came."""
    return (
        select(*wish.c)
        .where(
            users.c.clinic_id == wish.c.clinic_id,
            users.c.id == wish.c.patient_id,
            users.c.role == constant("patient"),
            users.c.is_active,
        )
        .cte("patient")
    )


def is_active_doctor(clinic_id: ColumnElement[int], doctor_id: ColumnElement[object]) -> ColumnElement[bool]:
    """Whether the doctor works at present; null if there is no such doctor.

    A value and not an EXISTS, which the planner would turn into a join: of a guess that a window holds few slots it
    makes one of all slots with all doctors, and sorts the result.
    """
    return (
        select(doctors.c.is_active)
        .where(doctors.c.clinic_id == clinic_id, doctors.c.id == doctor_id)
        .correlate_except(doctors)
        .scalar_subquery()
    )
