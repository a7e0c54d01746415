"""Break-glass grants: made, listed, reviewed."""

from functools import cache
from typing import Any

from sqlalchemy import CTE, Integer, bindparam, func, insert, select, update

from app.audit.clauses import ACTOR_ID, record, record_page, shown_of
from app.breakglass.models import break_glass_grants as grants
from app.breakglass.rules import Grant
from app.db.schema import Text, Uuid
from app.db.statement import Statement, compiled, constant
from app.identity.users.clauses import active_user
from app.identity.users.models import patients
from app.outbox.clauses import announce

PUBLIC = tuple(Grant.__dataclass_fields__)
_COLUMNS = [grants.c[name] for name in PUBLIC]
_CLINIC = grants.c.clinic_id == bindparam("clinic_id", type_=Integer)
_ONE = _CLINIC & (grants.c.id == bindparam("id", type_=Uuid))


def _told(grant: CTE, action: str) -> CTE:
    return record(
        grant,
        action=action,
        entity_type="break_glass",
        entity_id=grant.c.id,
        clinic_id=grant.c.clinic_id,
        subject_id=grant.c.patient_id,
        details=func.jsonb_build_object(constant("grant_id"), grant.c.id),
    )


def _open() -> Statement[Grant]:
    """A grant for an active doctor and a patient of the same clinic; the patient is told."""
    doctor = active_user("doctor")
    row = (
        select(
            doctor.c.clinic_id,
            bindparam("grant_id", type_=Uuid).label("id"),
            doctor.c.id.label("doctor_id"),
            patients.c.id.label("patient_id"),
            bindparam("reason", type_=Text).label("reason"),
        )
        .select_from(doctor.join(patients, patients.c.clinic_id == doctor.c.clinic_id))
        .where(patients.c.id == bindparam("patient_id", type_=Uuid))
    )
    granted = (
        insert(grants)
        .from_select(["clinic_id", "id", "doctor_id", "patient_id", "reason"], row)
        .returning(grants.c.clinic_id, *_COLUMNS)
        .cte("granted")
    )
    event = announce(granted, topic="patient.record_opened", entity_id=granted.c.id, clinic_id=granted.c.clinic_id)
    query = select(*(granted.c[name] for name in PUBLIC)).add_cte(_told(granted, "break_glass.granted"), event)
    return compiled("open_record", query, Grant, is_write=True)


def _review() -> Statement[Grant]:
    """The first review of a grant by somebody who did not need it. Of two at once, one finds nothing to review."""
    reviewed = (
        update(grants)
        .where(_ONE, grants.c.reviewed_at.is_(None), grants.c.doctor_id != ACTOR_ID)
        .values(reviewed_at=func.now(), reviewed_by=ACTOR_ID, review_note=bindparam("note", type_=Text))
        .returning(grants.c.clinic_id, *_COLUMNS)
        .cte("reviewed")
    )
    query = select(*(reviewed.c[name] for name in PUBLIC)).add_cte(_told(reviewed, "break_glass.reviewed"))
    return compiled("review_grant", query, Grant, is_write=True)


OPEN = _open()
REVIEW = _review()
GRANT = compiled("grant", select(*_COLUMNS).where(_ONE), Grant)

_FILTERS: dict[str, Any] = {
    "reviewed": grants.c.reviewed_at.is_not(None),
    "unreviewed": grants.c.reviewed_at.is_(None),
    "after_id": grants.c.id > bindparam("after_id", type_=Uuid),
}


@cache
def grants_of_clinic(given: frozenset[str]) -> Statement[Grant]:
    """The clinic's grants that match, oldest first: the ids are sorted by time. Each patient is told who looked."""
    page = (
        select(*_COLUMNS)
        .where(_CLINIC, *(_FILTERS[name] for name in sorted(given)))
        .order_by(grants.c.id)
        .limit(bindparam("rows"))
        .cte("page")
    )
    audit = record_page(
        shown_of(page, [page.c.id]), action="break_glass.listed", entity_type="break_glass", is_search=True
    )
    query = select(*(page.c[name] for name in PUBLIC)).order_by(page.c.id)
    return compiled("grants_of_clinic", query.add_cte(audit), Grant, is_write=True)
