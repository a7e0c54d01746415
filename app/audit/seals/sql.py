"""Reading the rows in their order, reading and adding seals."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Interval,
    Select,
    bindparam,
    case,
    cast,
    column,
    extract,
    func,
    literal_column,
    select,
    table,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import insert

from app.audit.models import audit_logs
from app.audit.seals.models import audit_seals
from app.audit.seals.rules import Entry, Seal
from app.db.schema import Instant, Text, Uuid
from app.db.statement import compiled

# Counted no further: so many rows without a seal are a worker that does not work.
UNSEALED_MAX = 100_000
# Identity owns it and stands above.
_clinics = table("clinics", column("clinic_id", Integer), column("slug", Text))
_EPOCH: ColumnElement[Any] = literal_column("timestamptz '1970-01-01 00:00:00Z'")
_FIRST_ID: ColumnElement[Any] = literal_column("uuid '00000000-0000-0000-0000-000000000000'")


@dataclass(frozen=True, slots=True)
class Mark:
    """The moment up to which rows are to be sealed, now, and a transaction that came after all that had begun."""

    cut: datetime
    now: datetime
    transaction: int


@dataclass(frozen=True, slots=True)
class ClinicName:
    """A clinic by number and slug."""

    clinic_id: int
    slug: str


def _us(moment: ColumnElement[Any]) -> ColumnElement[int]:
    """Microseconds since 1970, exactly (`extract` gives a numeric); what is infinite is the largest or smallest."""
    return case(
        (func.isfinite(moment), cast(extract("epoch", moment) * literal_column("1000000"), BigInteger)),
        (moment > _EPOCH, literal_column("9223372036854775807", BigInteger)),
        (moment < _EPOCH, literal_column("-9223372036854775808", BigInteger)),
    )


_position = tuple_(audit_logs.c.occurred_at, audit_logs.c.id)
_ENTRY = [
    audit_logs.c.clinic_id,
    cast(audit_logs.c.id, Text).label("id"),
    _us(audit_logs.c.occurred_at).label("occurred_us"),
    cast(audit_logs.c.actor_id, Text).label("actor_id"),
    *(audit_logs.c[name] for name in ("actor_role", "action", "entity_type", "entity_id", "outcome", "request_id")),
    cast(audit_logs.c.details, Text).label("details"),
    cast(audit_logs.c.subject_id, Text).label("subject_id"),
]
_SEAL = [
    audit_seals.c.clinic_id,
    audit_seals.c.number,
    audit_seals.c.rows,
    _us(audit_seals.c.first_at).label("first_us"),
    cast(audit_seals.c.first_id, Text).label("first_id"),
    _us(audit_seals.c.last_at).label("last_us"),
    cast(audit_seals.c.last_id, Text).label("last_id"),
    audit_seals.c.root,
    audit_seals.c.previous,
    _us(audit_seals.c.sealed_at).label("sealed_us"),
    _us(audit_seals.c.dropped_before).label("dropped_before_us"),
    audit_seals.c.key_id,
    audit_seals.c.signature,
]
_CLINIC: ColumnElement[int] = bindparam("clinic_id", type_=Integer)
_AFTER_AT: ColumnElement[Any] = bindparam("after_at", type_=Instant)
_AFTER = (
    audit_logs.c.clinic_id == _CLINIC,
    # Said twice: PostgreSQL leaves months out by the time alone.
    audit_logs.c.occurred_at >= _AFTER_AT,
    _position > tuple_(_AFTER_AT, bindparam("after_id", type_=Uuid)),
)


def _in_order(query: Select[Any]) -> Select[Any]:
    return query.order_by(audit_logs.c.occurred_at, audit_logs.c.id).limit(bindparam("rows", type_=Integer))


MARK = compiled(
    "mark_time",
    select(
        (func.now() - bindparam("grace", type_=Interval)).label("cut"),
        func.now().label("now"),
        # Taking a number, we come after each transaction that has one.
        cast(cast(func.pg_current_xact_id(), Text), BigInteger).label("transaction"),
    ),
    Mark,
    is_write=True,
)
IS_SETTLED = compiled(
    "is_settled",
    select(
        (
            cast(cast(func.pg_snapshot_xmin(func.pg_current_snapshot()), Text), BigInteger)
            > bindparam("transaction", type_=BigInteger)
        ).label("is_settled")
    ),
    bool,
)

_newest = (
    select(audit_seals.c.last_at, audit_seals.c.last_id)
    .where(audit_seals.c.clinic_id == _clinics.c.clinic_id)
    .order_by(audit_seals.c.number.desc())
    .limit(literal_column("1"))
    .lateral("newest")
)
# Not `coalesce`: under row-level security PostgreSQL looks into an index only for what cannot give rows away, and does
# not know that of it. Each round would read the clinic's whole month.
_from = case((_newest.c.last_at.is_(None), _EPOCH), else_=_newest.c.last_at)
_from_id = case((_newest.c.last_id.is_(None), _FIRST_ID), else_=_newest.c.last_id)
# With a limit, it is looked up for each clinic, and never joined as a whole.
_one_behind = (
    select(audit_logs.c.id)
    .where(
        audit_logs.c.clinic_id == _clinics.c.clinic_id,
        audit_logs.c.occurred_at >= _from,
        _position > tuple_(_from, _from_id),
        audit_logs.c.occurred_at <= bindparam("cut", type_=Instant),
    )
    .order_by(audit_logs.c.occurred_at, audit_logs.c.id)
    .limit(literal_column("1"))
    .lateral("behind")
)
CLINICS_BEHIND = compiled(
    "clinics_behind",
    select(_clinics.c.clinic_id)
    .select_from(_clinics.join(_newest, true(), isouter=True).join(_one_behind, true()))
    .order_by(_clinics.c.clinic_id),
    int,
    is_personal=True,
)
ROWS_TO_SEAL = compiled(
    "rows_to_seal",
    _in_order(select(*_ENTRY).where(*_AFTER, audit_logs.c.occurred_at <= bindparam("cut", type_=Instant))),
    Entry,
    is_personal=True,
)
ROWS_OF_SEAL = compiled(
    "rows_of_seal",
    _in_order(
        select(*_ENTRY).where(
            *_AFTER,
            audit_logs.c.occurred_at <= bindparam("last_at", type_=Instant),
            _position <= tuple_(bindparam("last_at", type_=Instant), bindparam("last_id", type_=Uuid)),
        )
    ),
    Entry,
    is_personal=True,
)
# Before the first seal's rows there is nothing: what is there was put there.
ROWS_OF_FIRST_SEAL = compiled(
    "rows_of_first_seal",
    _in_order(
        select(*_ENTRY).where(
            audit_logs.c.clinic_id == _CLINIC,
            _position <= tuple_(bindparam("last_at", type_=Instant), bindparam("last_id", type_=Uuid)),
        )
    ),
    Entry,
    is_personal=True,
)
UNSEALED = compiled(
    "count_unsealed",
    select(func.count()).select_from(
        select(audit_logs.c.id).where(*_AFTER).limit(literal_column(str(UNSEALED_MAX))).subquery("unsealed")
    ),
    int,
    is_personal=True,
)
NEWEST = compiled(
    "newest_seal",
    select(*_SEAL)
    .where(audit_seals.c.clinic_id == _CLINIC)
    .order_by(audit_seals.c.number.desc())
    .limit(literal_column("1")),
    Seal,
)
SEALS = compiled(
    "seals",
    select(*_SEAL)
    .where(audit_seals.c.clinic_id == _CLINIC, audit_seals.c.number > bindparam("after", type_=Integer))
    .order_by(audit_seals.c.number)
    .limit(bindparam("rows", type_=Integer)),
    Seal,
)
ADD = compiled(
    "add_seal",
    insert(audit_seals)
    .values({name: bindparam(name, type_=audit_seals.c[name].type) for name in audit_seals.c.keys()})  # noqa: SIM118
    .on_conflict_do_nothing(),
    int,
    is_write=True,
)
CLINICS = compiled(
    "clinics_by_number", select(_clinics.c.clinic_id, _clinics.c.slug).order_by(_clinics.c.clinic_id), ClinicName
)
