"""Prescriptions: issued in one statement, and read."""

from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    FromClause,
    LargeBinary,
    Select,
    bindparam,
    case,
    exists,
    insert,
    null,
    or_,
    select,
    true,
)

from app.audit.clauses import ACTOR_ID, ACTOR_ROLE, record, record_page, shown_of
from app.breakglass.clauses import grant_for_patient, grant_in_force, naming, record_under_grant
from app.consultation.models import consultations
from app.db.schema import Text, Uuid
from app.db.statement import Statement, compiled, constant
from app.encryption.clauses import DATA_KEY, file_key, key_of
from app.encryption.rules import PRESCRIPTION, Sealed
from app.idempotency.clauses import claim_key, forget_keys
from app.idempotency.models import idempotency_keys as keys
from app.idempotency.service import Attempt
from app.identity.users.clauses import active_user
from app.outbox.clauses import announce
from app.prescription.models import prescriptions
from app.prescription.rules import Prescription

OPERATION = "issue_prescription"
_NAMES = tuple(Prescription.__dataclass_fields__)
_TEXTS = ("items", "notes")

_CONSULTATION_ID = bindparam("consultation_id", type_=Uuid)
_DOCTOR_ID = bindparam("doctor_id", type_=Uuid)
_KEY = bindparam("key", type_=Text)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the world looked like to a prescription that was refused."""

    consultation_status: str | None
    has_prescription: bool
    prescription_under_key: UUID | None


def _kept(source: FromClause = prescriptions) -> list[ColumnElement[Any]]:
    return [source.c[name] for name in _NAMES]


def _with_key(source: FromClause) -> list[ColumnElement[Any]]:
    """The columns of `_sealed`."""
    key = key_of(bindparam("clinic_id"), source.c.id, part=PRESCRIPTION)
    return [*_kept(source), key]


def _sealed(*values: Any) -> Sealed[Prescription]:
    *kept, data_key = values
    fields = dict(zip(_NAMES, kept, strict=True))
    texts = {name: fields.pop(name) for name in _TEXTS}
    return Sealed(Prescription(**fields, items=[], notes=None), texts, data_key)


def _attempt(*values: Any) -> Attempt[Sealed[Prescription]]:
    return Attempt(has_claimed=True, result=None if values[0] is None else _sealed(*values))


def _issue() -> Statement[Attempt[Sealed[Prescription]]]:
    doctor = active_user("doctor")
    key = claim_key(doctor, operation=OPERATION)
    row = (
        select(
            consultations.c.clinic_id,
            bindparam("prescription_id", type_=Uuid).label("id"),
            consultations.c.id.label("consultation_id"),
            consultations.c.doctor_id,
            consultations.c.patient_id,
            bindparam("items", type_=LargeBinary).label("items"),
            bindparam("notes", type_=LargeBinary).label("notes"),
            _KEY.label("idempotency_key"),
        )
        .select_from(
            key.join(
                consultations,
                (consultations.c.clinic_id == key.c.clinic_id) & (consultations.c.doctor_id == key.c.user_id),
            )
        )
        .where(consultations.c.id == _CONSULTATION_ID, consultations.c.status == constant("completed"))
    )
    names = [
        "clinic_id",
        "id",
        "consultation_id",
        "doctor_id",
        "patient_id",
        "items",
        "notes",
        "idempotency_key",
    ]
    prescription = (
        insert(prescriptions).from_select(names, row).returning(prescriptions.c.clinic_id, *_kept()).cte("prescription")
    )
    what: dict[str, Any] = {"entity_id": prescription.c.id, "clinic_id": prescription.c.clinic_id}
    audit = record(
        prescription,
        action="prescription.created",
        entity_type="prescription",
        subject_id=prescription.c.patient_id,
        **what,
    )
    event = announce(prescription, topic="prescription.created", **what)
    filed = file_key(prescription, part=PRESCRIPTION)
    columns = [*_kept(prescription), DATA_KEY.label("data_key")]
    query = select(*columns).select_from(key.join(prescription, true(), isouter=True))
    return compiled("issue_prescription", query.add_cte(filed, audit, event), _attempt, is_write=True)


ISSUE = _issue()

_CLINIC = prescriptions.c.clinic_id == bindparam("clinic_id")
_UNDER_KEY = _CLINIC & (prescriptions.c.doctor_id == _DOCTOR_ID) & (prescriptions.c.idempotency_key == _KEY)
_OWN_CONSULTATION = (
    (consultations.c.clinic_id == bindparam("clinic_id"))
    & (consultations.c.id == _CONSULTATION_ID)
    & (consultations.c.doctor_id == _DOCTOR_ID)
)

CIRCUMSTANCES = compiled(
    "circumstances_of_refusal",
    select(
        select(consultations.c.status).where(_OWN_CONSULTATION).scalar_subquery().label("consultation_status"),
        exists().where(_CLINIC, prescriptions.c.consultation_id == _CONSULTATION_ID).label("has_prescription"),
        select(prescriptions.c.id).where(_UNDER_KEY).scalar_subquery().label("prescription_under_key"),
    ),
    Circumstances,
)

ISSUED_UNDER_KEY = compiled("issued_under_key", select(*_with_key(prescriptions)).where(_UNDER_KEY), _sealed)

# `uq_prescriptions_idempotency_key` keeps these from prescribing again.
FORGET_KEYS = compiled(
    "forget_prescription_keys",
    forget_keys(
        operation=OPERATION,
        is_recorded=exists().where(
            prescriptions.c.clinic_id == keys.c.clinic_id,
            prescriptions.c.doctor_id == keys.c.user_id,
            prescriptions.c.idempotency_key == keys.c.key,
        ),
    ),
    int,
    is_write=True,
)

# The patient who received it and the doctor who issued it; not even an admin.
_IS_CONCERNED = or_(
    (constant("patient") == ACTOR_ROLE) & (prescriptions.c.patient_id == ACTOR_ID),
    (constant("doctor") == ACTOR_ROLE) & (prescriptions.c.doctor_id == ACTOR_ID),
)


def _read() -> Statement[Sealed[Prescription]]:
    """One prescription; a doctor leaves an audit row, in the statement that reads: with the grant, if it was needed."""
    grant = grant_in_force(prescriptions.c.patient_id)
    found = (
        select(prescriptions.c.clinic_id, *_kept(), case((_IS_CONCERNED, null()), else_=grant).label("grant_id"))
        .where(
            _CLINIC,
            prescriptions.c.id == bindparam("id", type_=Uuid),
            or_(_IS_CONCERNED, grant.is_not(None)),
        )
        .cte("found")
    )
    of_another = select(found).where(found.c.patient_id != ACTOR_ID).subquery("of_another")
    audit = record(
        of_another,
        action="prescription.read",
        entity_type="prescription",
        entity_id=of_another.c.id,
        clinic_id=of_another.c.clinic_id,
        subject_id=of_another.c.patient_id,
        details=naming(of_another.c.grant_id),
    )
    return compiled("read_prescription", select(*_with_key(found)).add_cte(audit), _sealed, is_write=True)


READ_PRESCRIPTION = _read()

_FILTERS = {
    "patient_id": prescriptions.c.patient_id == bindparam("patient_id", type_=Uuid),
    "doctor_id": prescriptions.c.doctor_id == _DOCTOR_ID,
    "before_id": prescriptions.c.id < bindparam("before_id", type_=Uuid),
}


_LISTED = "prescription.listed"


@cache
def prescriptions_of(given: frozenset[str]) -> Statement[Sealed[Prescription]]:
    """What a patient received, newest first: the ids are sorted by time."""
    page = _page(given).subquery("page")
    return compiled("prescriptions_of", select(*_with_key(page)).order_by(page.c.id.desc()), _sealed)


@cache
def prescriptions_by(given: frozenset[str]) -> Statement[Sealed[Prescription]]:
    """What a doctor issued, newest first. Leaves an audit row for each patient on the page."""
    page = _page(given).cte("page")
    audit = record_page(shown_of(page, [page.c.id.desc()]), action=_LISTED, entity_type="prescription")
    query = select(*_with_key(page)).order_by(page.c.id.desc())
    return compiled("prescriptions_by", query.add_cte(audit), _sealed, is_write=True)


def _nothing_or_sealed(*values: Any) -> Sealed[Prescription] | None:
    return None if values[0] is None else _sealed(*values)


@cache
def prescriptions_of_patient(given: frozenset[str]) -> Statement[Sealed[Prescription] | None]:
    """What a patient received, for a doctor with a grant in force; without one, not a row.

    With one and without prescriptions, one row of nulls. Leaves an audit row that names the grant.
    """
    grant = grant_for_patient()
    is_open = grant.c.id.is_not(None)
    page = _page(given | {"patient_id"}).where(select(is_open).scalar_subquery()).cte("page")
    audit = record_under_grant(grant, page, [page.c.id.desc()], action=_LISTED, entity_type="prescription")
    query = select(*_with_key(page)).select_from(grant.join(page, true(), isouter=True)).where(is_open)
    in_order = query.order_by(page.c.id.desc())
    return compiled("prescriptions_of_patient", in_order.add_cte(audit), _nothing_or_sealed, is_write=True)


def _page(given: frozenset[str]) -> Select[Any]:
    return (
        select(*_kept())
        .where(_CLINIC, *(_FILTERS[name] for name in sorted(given)))
        .order_by(prescriptions.c.id.desc())
        .limit(bindparam("rows"))
    )
