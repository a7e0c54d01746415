"""What lets a doctor read the record of somebody else's patient, in the very statement that reads."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import CTE, ColumnElement, Integer, bindparam, func, literal_column, null, select

from app.audit.clauses import ACTOR_ID, ACTOR_ROLE, record, shown_of
from app.breakglass.models import break_glass_grants as grants
from app.db.schema import Uuid
from app.db.statement import constant
from app.identity.users.clauses import is_active_doctor

_CLINIC_ID = bindparam("clinic_id", type_=Integer)
_PATIENT_ID = bindparam("patient_id", type_=Uuid)


def grant_in_force(patient_id: ColumnElement[Any]) -> ColumnElement[Any]:
    """The id of the caller's grant for this patient that lasts longest; null if there is none in force.

    Binds `clinic_id`, `actor_id` and `actor_role`. Stands last among several reasons to let somebody read: it is one
    look into an index, for which whoever has another reason does not pay.
    """
    return (
        select(grants.c.id)
        .where(
            constant("doctor") == ACTOR_ROLE,
            grants.c.clinic_id == _CLINIC_ID,
            grants.c.doctor_id == ACTOR_ID,
            grants.c.patient_id == patient_id,
            grants.c.expires_at > func.now(),
            is_active_doctor(_CLINIC_ID, ACTOR_ID),
        )
        .order_by(grants.c.expires_at.desc())
        .limit(literal_column("1"))
        .correlate_except(grants)
        .scalar_subquery()
    )


def grant_for_patient() -> CTE:
    """One row with `id`: the caller's grant in force for the patient bound as `patient_id`, or null."""
    return select(grant_in_force(_PATIENT_ID).label("id")).cte("break_glass")


def record_under_grant(
    grant: CTE, page: CTE, order: Sequence[ColumnElement[Any]], *, action: str, entity_type: str
) -> CTE:
    """One audit row for a page of the patient's records that `grant` lets read: it names grant and records."""
    shown = shown_of(page, order)
    read = select(_CLINIC_ID.label("clinic_id"), _PATIENT_ID.label("patient_id"), grant.c.id.label("grant_id")).where(
        grant.c.id.is_not(None)
    )
    ids = select(func.jsonb_agg(shown.c.id)).scalar_subquery()
    what = read.subquery("read")
    return record(
        what,
        action=action,
        entity_type=entity_type,
        entity_id=null(),
        clinic_id=what.c.clinic_id,
        subject_id=what.c.patient_id,
        details=naming(what.c.grant_id, ids=ids),
    )


def naming(grant_id: ColumnElement[Any], **more: ColumnElement[Any]) -> ColumnElement[Any]:
    """The details of an audit row: the grant under which was read, if there was one."""
    pairs = {"grant_id": grant_id, **more}
    return func.jsonb_strip_nulls(
        func.jsonb_build_object(*(part for name, value in pairs.items() for part in (constant(name), value)))
    )
