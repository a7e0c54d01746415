"""Consultations: completed, cancelled, found."""

from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    LargeBinary,
    Select,
    bindparam,
    case,
    func,
    null,
    or_,
    select,
    true,
    tuple_,
    union_all,
    update,
)

from app.audit.clauses import ACTOR_ID, ACTOR_ROLE, record, record_page, shown_of
from app.availability.clauses import reopen_slot
from app.breakglass.clauses import grant_for_patient, grant_in_force, naming, record_under_grant
from app.consultation.models import consultations, public
from app.consultation.rules import (
    CANCELLED,
    CANCELS_ONLY_BEFORE_START,
    COMPLETED,
    SCHEDULED,
    STATUSES,
    TRANSITIONS,
    Consultation,
)
from app.db.schema import Instant, Text, Uuid
from app.db.statement import Statement, compiled, constant
from app.encryption.clauses import DATA_KEY, file_key, key_of
from app.encryption.rules import CANCELLATION, Sealed
from app.outbox.clauses import announce

# Few consultations are cancelled with a reason; the others have nothing to open.
Kept = Consultation | Sealed[Consultation]

_CLINIC = consultations.c.clinic_id == bindparam("clinic_id")
_ONE = _CLINIC & (consultations.c.id == bindparam("id", type_=Uuid))
# Whose it is: the patient and the doctor of it, and every admin of the clinic.
_IS_CONCERNED = or_(
    constant("admin") == ACTOR_ROLE,
    (constant("patient") == ACTOR_ROLE) & (consultations.c.patient_id == ACTOR_ID),
    (constant("doctor") == ACTOR_ROLE) & (consultations.c.doctor_id == ACTOR_ID),
)


def _with_key(source: FromClause = consultations) -> list[ColumnElement[Any]]:
    """The columns of `_kept`."""
    key = key_of(bindparam("clinic_id"), source.c.id, part=CANCELLATION)
    return [*public(source), case((source.c.cancel_reason.is_(None), null()), else_=key).label("data_key")]


def _kept(*values: Any) -> Kept:
    *told, reason, data_key = values
    consultation = Consultation(*(*told, None))
    return consultation if reason is None else Sealed(consultation, {"cancel_reason": reason}, data_key)


CONSULTATION = compiled("consultation_for", select(*_with_key()).where(_ONE, _IS_CONCERNED), _kept)


def _read() -> Statement[Kept]:
    """One consultation; whoever is not its patient leaves an audit row, in the statement that reads.

    The row of somebody whom only a grant lets read names it.
    """
    grant = grant_in_force(consultations.c.patient_id)
    found = (
        select(
            consultations.c.clinic_id,
            *public(),
            case((_IS_CONCERNED, null()), else_=grant).label("grant_id"),
        )
        .where(_ONE, or_(_IS_CONCERNED, grant.is_not(None)))
        .cte("found")
    )
    of_another = select(found).where(found.c.patient_id != ACTOR_ID).subquery("of_another")
    audit = record(
        of_another,
        action="consultation.read",
        entity_type="consultation",
        entity_id=of_another.c.id,
        clinic_id=of_another.c.clinic_id,
        subject_id=of_another.c.patient_id,
        details=naming(of_another.c.grant_id),
    )
    return compiled("read_consultation", select(*_with_key(found)).add_cte(audit), _kept, is_write=True)


READ_CONSULTATION = _read()


def _change(after: str, marks: dict[str, ColumnElement[Any]]) -> Statement[Kept]:
    """A guarded update: the old state, the right person and the right time are conditions, not checks before."""
    may = [constant(role) == ACTOR_ROLE for role in sorted(TRANSITIONS[SCHEDULED, after])]
    in_time = or_(
        ACTOR_ROLE.not_in([constant(role) for role in sorted(CANCELS_ONLY_BEFORE_START)]),
        consultations.c.starts_at > func.now(),
    )
    changed = (
        update(consultations)
        .where(
            _ONE,
            _IS_CONCERNED,
            consultations.c.status == constant(SCHEDULED),
            or_(*may),
            in_time,
        )
        .values(status=constant(after), **marks)
        .returning(consultations.c.clinic_id, *public())
        .cte("changed_consultation")
    )
    topic = f"consultation.{after}"
    what: dict[str, Any] = {"entity_id": changed.c.id, "clinic_id": changed.c.clinic_id}
    effects = [
        record(changed, action=topic, entity_type="consultation", subject_id=changed.c.patient_id, **what),
        announce(changed, topic=topic, **what),
    ]
    data_key: ColumnElement[Any] = null()
    if after == CANCELLED:
        effects += [reopen_slot(changed), file_key(changed, part=CANCELLATION)]
        data_key = DATA_KEY
    query = select(*public(changed), data_key.label("data_key")).add_cte(*effects)
    return compiled(f"{after}_consultation", query, _kept, is_write=True)


COMPLETE = _change(COMPLETED, {"completed_at": func.now()})
CANCEL = _change(
    CANCELLED, {"cancelled_at": func.now(), "cancel_reason": bindparam("cancel_reason", type_=LargeBinary)}
)

_FILTERS = {
    "patient_id": consultations.c.patient_id == bindparam("patient_id", type_=Uuid),
    "doctor_id": consultations.c.doctor_id == bindparam("doctor_id", type_=Uuid),
    "status": consultations.c.status == bindparam("status", type_=Text),
    "from_": consultations.c.starts_at >= bindparam("from_", type_=Instant),
    "to": consultations.c.starts_at < bindparam("to", type_=Instant),
    "before_at": tuple_(consultations.c.starts_at, consultations.c.id)
    < tuple_(bindparam("before_at", type_=Instant), bindparam("before_id", type_=Uuid)),
}
_LISTED = "consultation.listed"


@cache
def consultations_of_person(given: frozenset[str]) -> Statement[Kept]:
    """The clinic's consultations that match the given filters, one of which is a person; newest start first."""
    page = _page(given).subquery("page")
    return compiled("consultations_of_person", select(*_with_key(page)).order_by(*_order(page)), _kept)


@cache
def consultations_of_clinic(given: frozenset[str]) -> Statement[Kept]:
    """The clinic's consultations that match the given filters, newest start first.

    Leaves an audit row for each patient on the page.
    """
    page = _page(given).cte("page")
    audit = record_page(shown_of(page, _order(page)), action=_LISTED, entity_type="consultation", is_search=True)
    query = select(*_with_key(page)).order_by(*_order(page))
    return compiled("consultations_of_clinic", query.add_cte(audit), _kept, is_write=True)


def _nothing_or_kept(*values: Any) -> Kept | None:
    return None if values[0] is None else _kept(*values)


@cache
def consultations_of_patient(given: frozenset[str]) -> Statement[Kept | None]:
    """Those of one patient that match, for a doctor with a grant in force; without one, not a row.

    With one and nothing that matches, one row of nulls. Leaves an audit row that names the grant.
    """
    grant = grant_for_patient()
    is_open = grant.c.id.is_not(None)
    page = _page(given | {"patient_id"}).where(select(is_open).scalar_subquery()).cte("page")
    audit = record_under_grant(grant, page, _order(page), action=_LISTED, entity_type="consultation")
    query = select(*_with_key(page)).select_from(grant.join(page, true(), isouter=True)).where(is_open)
    in_order = query.order_by(*_order(page))
    return compiled("consultations_of_patient", in_order.add_cte(audit), _nothing_or_kept, is_write=True)


def _page(given: frozenset[str]) -> Select[Any]:
    # Sorted, `before_at` stands before `to`: of two bounds PostgreSQL 18 begins its scan at the first one.
    matching = select(*public()).where(_CLINIC, *(_FILTERS[name] for name in sorted(given)))
    if given & {"patient_id", "doctor_id", "status"}:
        return _newest(matching, consultations)
    # The clinic's index has the status before the start: a page of each, of which the newest are a page of all.
    pages = [_newest(matching.where(consultations.c.status == constant(status)), consultations) for status in STATUSES]
    found = union_all(*pages).subquery("of_any_status")
    return _newest(select(*public(found)), found)


def _newest(query: Select[Any], source: FromClause) -> Select[Any]:
    return query.order_by(*_order(source)).limit(bindparam("rows"))


def _order(source: FromClause) -> list[ColumnElement[Any]]:
    return [source.c.starts_at.desc(), source.c.id.desc()]
