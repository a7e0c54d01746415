"""The pieces of a statement that file the key of a text with it, and fetch it with the text."""

from typing import Any

from sqlalchemy import CTE, ColumnElement, LargeBinary, bindparam, cast, insert, select

from app.db.statement import constant
from app.encryption.models import data_keys

# The key of the text that a statement writes; null if it writes none, and then only the cast tells what it is.
DATA_KEY: ColumnElement[Any] = cast(bindparam("data_key", type_=LargeBinary), LargeBinary)


def file_key(written: CTE, *, part: str) -> CTE:
    """Files `DATA_KEY`, if there is one, under the patient of `written` (`clinic_id`, `id`, `patient_id`)."""
    values = {
        "clinic_id": written.c.clinic_id,
        "record_id": written.c.id,
        "part": constant(part),
        "patient_id": written.c.patient_id,
        "wrapped": DATA_KEY,
    }
    row = select(*(value.label(column) for column, value in values.items())).where(DATA_KEY.is_not(None))
    return insert(data_keys).from_select(list(values), row).cte("filed_key")


def key_of(clinic_id: ColumnElement[Any], record_id: ColumnElement[Any], *, part: str) -> ColumnElement[Any]:
    """The wrapped key of a record's text; null if it was erased. A look into an index, for each row that is told."""
    return (
        select(data_keys.c.wrapped)
        .where(
            data_keys.c.clinic_id == clinic_id,
            data_keys.c.record_id == record_id,
            data_keys.c.part == constant(part),
        )
        .correlate_except(data_keys)
        .scalar_subquery()
        .label(f"key_of_{part}")
    )
