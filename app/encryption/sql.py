"""Data keys: wrapped anew, erased, counted."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Integer,
    LargeBinary,
    all_,
    bindparam,
    column,
    delete,
    func,
    literal_column,
    select,
    tuple_,
    update,
)
from sqlalchemy.types import TypeEngine

from app.audit.clauses import record
from app.db.schema import Text, Uuid
from app.db.statement import Statement, compiled, constant
from app.encryption.models import data_keys
from app.encryption.rules import ID_BYTES

_PLACE: dict[str, TypeEngine[Any]] = {"clinic_id": Integer(), "record_id": Uuid(), "part": Text()}
_WRAPPED_BY: ColumnElement[Any] = func.substring(
    data_keys.c.wrapped, literal_column("1"), literal_column(str(ID_BYTES))
)


@dataclass(frozen=True, slots=True)
class DataKey:
    """A wrapped data key and what it is of."""

    clinic_id: int
    record_id: UUID
    part: str
    wrapped: bytes


# The next ones that another secret wraps, in the order of the table, so that nothing is read twice.
WRAPPED_OTHERWISE = compiled(
    "data_keys_wrapped_otherwise",
    select(*(data_keys.c[name] for name in DataKey.__dataclass_fields__))
    .where(
        tuple_(*(data_keys.c[name] for name in _PLACE))
        > tuple_(*(bindparam(f"after_{name}", type_=kind) for name, kind in _PLACE.items())),
        bindparam("current_id", type_=LargeBinary) != _WRAPPED_BY,
    )
    .order_by(*(data_keys.c[name] for name in _PLACE))
    .limit(bindparam("rows")),
    DataKey,
)


def _rewrap() -> Statement[int]:
    """Wrapped anew, those that nobody has erased or wrapped meanwhile."""
    kinds: dict[str, TypeEngine[Any]] = {**_PLACE, "before": LargeBinary(), "after": LargeBinary()}
    arrays = [bindparam(name, type_=ARRAY(kind)) for name, kind in kinds.items()]
    columns = [column(name, kind) for name, kind in kinds.items()]
    new = func.unnest(*arrays).table_valued(*columns, name="new").render_derived()
    query = (
        update(data_keys)
        .where(*(data_keys.c[name] == new.c[name] for name in _PLACE), data_keys.c.wrapped == new.c.before)
        .values(wrapped=new.c.after)
    )
    return compiled("rewrap_data_keys", query, int, is_write=True)


def _erase() -> Statement[int]:
    """All data keys of a patient are gone; an audit row tells how many."""
    gone = (
        delete(data_keys)
        .where(
            data_keys.c.clinic_id == bindparam("clinic_id"),
            data_keys.c.patient_id == bindparam("patient_id", type_=Uuid),
        )
        .returning(data_keys.c.record_id)
        .cte("gone")
    )
    count = select(func.count().label("texts")).select_from(gone).cte("count")
    patient_id: ColumnElement[Any] = bindparam("patient_id", type_=Uuid)
    audit = record(
        count,
        action="patient.text_erased",
        entity_type="user",
        entity_id=patient_id,
        clinic_id=bindparam("clinic_id", type_=Integer),
        subject_id=patient_id,
        details=func.jsonb_build_object(constant("texts"), count.c.texts),
    )
    return compiled("erase_data_keys", select(count.c.texts).add_cte(audit), int, is_write=True)


REWRAP = _rewrap()
ERASE = _erase()
WRAPPED_BY_NONE_OF = compiled(
    "data_keys_wrapped_by_none_of",
    select(func.count()).where(all_(bindparam("ids", type_=ARRAY(LargeBinary))) != _WRAPPED_BY),
    int,
)
