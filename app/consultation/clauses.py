"""The CTE that schedules a consultation inside a booking's statement."""

from typing import Any

from sqlalchemy import CTE, ColumnElement, bindparam, insert, select

from app.consultation.models import consultations, public
from app.db.schema import Text, Uuid


def schedule(slot: CTE, patient: CTE) -> CTE:
    """A scheduled consultation for each claimed slot. Binds `consultation_id` and `key`.

    Breaks `ex_consultations_patient_overlap` if the patient has another at that time, and
    `uq_consultations_idempotency_key` if the key has made one before.
    """
    values: dict[str, ColumnElement[Any]] = {
        "clinic_id": slot.c.clinic_id,
        "id": bindparam("consultation_id", type_=Uuid),
        "slot_id": slot.c.id,
        "doctor_id": slot.c.doctor_id,
        "patient_id": patient.c.id,
        "starts_at": slot.c.starts_at,
        "ends_at": slot.c.ends_at,
        "idempotency_key": bindparam("key", type_=Text),
    }
    row = select(*(value.label(column) for column, value in values.items())).select_from(
        slot.join(patient, slot.c.clinic_id == patient.c.clinic_id)
    )
    return (
        insert(consultations)
        .from_select(list(values), row)
        .returning(consultations.c.clinic_id, *public())
        .cte("consultation")
    )
