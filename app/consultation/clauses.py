"""The CTE that schedules a consultation inside a booking's statement."""

from typing import Any

from sqlalchemy import CTE, ColumnElement, insert, select

from app.consultation.models import consultations, public


def schedule(slot: CTE) -> CTE:
    """A scheduled consultation for each claimed slot, which also gives `consultation_id`, `patient_id` and `key`.

    Breaks `ex_consultations_patient_overlap` if the patient has another at that time, and
    `uq_consultations_idempotency_key` if the key has made one before.
    """
    values: dict[str, ColumnElement[Any]] = {
        "clinic_id": slot.c.clinic_id,
        "id": slot.c.consultation_id,
        "slot_id": slot.c.id,
        "doctor_id": slot.c.doctor_id,
        "patient_id": slot.c.patient_id,
        "starts_at": slot.c.starts_at,
        "ends_at": slot.c.ends_at,
        "idempotency_key": slot.c.key,
    }
    # In one order: two statements that book for the same patients wait for each other in one direction only.
    row = select(*(value.label(column) for column, value in values.items())).order_by(
        slot.c.clinic_id, slot.c.patient_id, slot.c.id
    )
    return (
        insert(consultations)
        .from_select(list(values), row)
        .returning(consultations.c.clinic_id, *public())
        .cte("consultation")
    )
