"""Break-glass grants: made, listed, reviewed."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    FromClause,
    Integer,
    LargeBinary,
    bindparam,
    case,
    func,
    insert,
    null,
    select,
    update,
)

from app.audit.clauses import ACTOR_ID, record, record_page, shown_of
from app.breakglass.models import break_glass_grants as grants
from app.breakglass.rules import Grant
from app.db.schema import Uuid
from app.db.statement import Statement, compiled, constant
from app.encryption.clauses import DATA_KEY, file_key, key_of
from app.encryption.rules import EMERGENCY, REVIEW_NOTE
from app.identity.users.clauses import active_user
from app.identity.users.models import patients
from app.outbox.clauses import announce

_NAMES = tuple(Grant.__dataclass_fields__)
_COLUMNS = [grants.c[name] for name in _NAMES]
_CLINIC = grants.c.clinic_id == bindparam("clinic_id", type_=Integer)
_ONE = _CLINIC & (grants.c.id == bindparam("id", type_=Uuid))


@dataclass(frozen=True, slots=True)
class KeptGrant:
    """A grant without its texts, which are sealed, and their wrapped keys: `None` if erased, or if there is no note."""

    grant: Grant
    reason: bytes
    review_note: bytes | None
    reason_key: bytes | None
    note_key: bytes | None


def _with_keys(
    source: FromClause,
    *,
    reason_key: ColumnElement[Any] | None = None,
    note_key: ColumnElement[Any] | None = None,
) -> list[ColumnElement[Any]]:
    """The columns of `_kept`; a key that the statement itself files is not there to be fetched yet."""
    clinic_id: ColumnElement[int] = bindparam("clinic_id", type_=Integer)
    if reason_key is None:
        reason_key = key_of(clinic_id, source.c.id, part=EMERGENCY)
    if note_key is None:
        filed = key_of(clinic_id, source.c.id, part=REVIEW_NOTE)
        note_key = case((source.c.review_note.is_(None), null()), else_=filed)
    return [*(source.c[name] for name in _NAMES), reason_key.label("reason_key"), note_key.label("note_key")]


def _kept(*values: Any) -> KeptGrant:
    *told, reason_key, note_key = values
    fields = dict(zip(_NAMES, told, strict=True))
    reason, note = fields.pop("reason"), fields.pop("review_note")
    return KeptGrant(Grant(**fields, reason=None, review_note=None), reason, note, reason_key, note_key)


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


def _open() -> Statement[KeptGrant]:
    """A grant for an active doctor and a patient of the same clinic; the patient is told."""
    doctor = active_user("doctor")
    row = (
        select(
            doctor.c.clinic_id,
            bindparam("grant_id", type_=Uuid).label("id"),
            doctor.c.id.label("doctor_id"),
            patients.c.id.label("patient_id"),
            bindparam("reason", type_=LargeBinary).label("reason"),
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
    effects = (_told(granted, "break_glass.granted"), event, file_key(granted, part=EMERGENCY))
    query = select(*_with_keys(granted, reason_key=DATA_KEY, note_key=null())).add_cte(*effects)
    return compiled("open_record", query, _kept, is_write=True)


def _review() -> Statement[KeptGrant]:
    """The first review of a grant by somebody who did not need it. Of two at once, one finds nothing to review."""
    reviewed = (
        update(grants)
        .where(_ONE, grants.c.reviewed_at.is_(None), grants.c.doctor_id != ACTOR_ID)
        .values(reviewed_at=func.now(), reviewed_by=ACTOR_ID, review_note=bindparam("review_note", type_=LargeBinary))
        .returning(grants.c.clinic_id, *_COLUMNS)
        .cte("reviewed")
    )
    effects = (_told(reviewed, "break_glass.reviewed"), file_key(reviewed, part=REVIEW_NOTE))
    query = select(*_with_keys(reviewed, note_key=DATA_KEY)).add_cte(*effects)
    return compiled("review_grant", query, _kept, is_write=True)


OPEN = _open()
REVIEW = _review()
GRANT = compiled("grant", select(*_with_keys(grants)).where(_ONE), _kept)

_FILTERS: dict[str, Any] = {
    "reviewed": grants.c.reviewed_at.is_not(None),
    "unreviewed": grants.c.reviewed_at.is_(None),
    "after_id": grants.c.id > bindparam("after_id", type_=Uuid),
}


@cache
def grants_of_clinic(given: frozenset[str]) -> Statement[KeptGrant]:
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
    query = select(*_with_keys(page)).order_by(page.c.id)
    return compiled("grants_of_clinic", query.add_cte(audit), _kept, is_write=True)
