"""A SQL statement, composed with SQLAlchemy Core and compiled once, ready for psycopg.

Building and compiling a statement costs four times what running it costs (docs/decisions/0004), so rooms build theirs
when they are imported and keep them as constants.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import (
    ARRAY,
    CTE,
    ColumnElement,
    DateTime,
    Executable,
    Integer,
    Subquery,
    Table,
    bindparam,
    column,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.dialects.postgresql.psycopg import dialect as psycopg_dialect
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import visitors
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.types import Text, TypeEngine, Uuid

from app.db.schema import PERSONAL

Row = TypeVar("Row")

# The shard: calls of two clinics never share a statement.
CLINIC = "clinic_id"
PLACE = "place"
# Set inside a statement for several calls that write.
LOCK_TIMEOUT = "lock_timeout"
# Types whose values need no quotes in an array.
_PLAIN = (Integer, Uuid, DateTime)
_WRITES = re.compile(r"\b(INSERT|UPDATE|DELETE|SHARE)\b")
_PLACE_OF_VALUE = re.compile(r"%\((\w+)\)s")
_DIALECT: Dialect = psycopg_dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped


@dataclasses.dataclass(frozen=True, slots=True)
class Together:
    """Which calls may share a statement that is over `calls()`.

    Two of them are equal in every parameter of `alike_by`, given once; of those, no two are equal in all of `apart_by`.
    """

    apart_by: tuple[str, ...] = ()
    alike_by: tuple[str, ...] = (CLINIC,)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Statement(Generic[Row]):
    """SQL text with `%(name)s` places, what makes a row of its columns, and what is done to values before they go.

    `numbered` is the same text with `$1` places, for the values named in `order`.
    """

    name: str
    text: str
    row: Callable[..., Row]
    columns: tuple[str, ...]
    parameters: frozenset[str]
    defaults: Mapping[str, Any]
    processors: Mapping[str, Callable[[Any], Any]]
    is_write: bool
    # Whether it touches rows that are somebody's: then PostgreSQL is told on whose behalf it runs.
    is_personal: bool = True
    # `None` if it is for one call at a time.
    together: "Together | None" = None
    numbered: bytes = dataclasses.field(init=False)
    order: tuple[str, ...] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        order = tuple(dict.fromkeys(_PLACE_OF_VALUE.findall(self.text)))
        numbered = _PLACE_OF_VALUE.sub(lambda place: f"${order.index(place[1]) + 1}", self.text).replace("%%", "%")
        object.__setattr__(self, "order", order)
        object.__setattr__(self, "numbered", numbered.encode())

    def bind(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values in the form that the driver takes. A missing or unknown name is a bug."""
        assert values.keys() == self.parameters, f"{self.name}: parameters differ by {values.keys() ^ self.parameters}"
        bound = {**self.defaults, **values}
        for name, process in self.processors.items():
            bound[name] = process(bound[name])
        return bound


def compiled(
    name: str,
    query: Executable,
    row: Callable[..., Row],
    *,
    is_write: bool = False,
    is_personal: bool | None = None,
    together: Together | None = None,
) -> Statement[Row]:
    """`query` as a `Statement` whose columns are given to `row` by position.

    It is personal if a table that it names is, unless it says otherwise. With `together` it is over `calls()`: it
    answers any number of calls at once, and its first column is their place.
    """
    assert isinstance(query, ClauseElement)
    result = query.compile(dialect=_DIALECT)
    assert isinstance(result, SQLCompiler)
    # Reads share a transaction, and are run again: none may change or lock a row (docs/decisions/0028).
    assert is_write or not _WRITES.search(str(result)), f"{name}: is no read"
    exported = getattr(query, "exported_columns", None)
    columns = tuple(exported.keys()) if exported is not None else ()
    if together is not None:
        columns = columns[1:]
    binds = {result.bind_names[bind]: bind for bind in result.bind_names}
    processors = {name: process for name, bind in binds.items() if (process := _processor(bind.type)) is not None}
    return Statement(
        name=name,
        text=str(result),
        row=row,
        columns=columns,
        parameters=frozenset(name for name, bind in binds.items() if bind.required),
        defaults={name: bind.value for name, bind in binds.items() if not bind.required},
        processors=processors,
        is_write=is_write,
        is_personal=_is_personal(query) if is_personal is None else is_personal,
        together=together,
    )


def _processor(kind: TypeEngine[Any]) -> Callable[[Any], Any] | None:
    """What is done to a value of this type before the driver gets it."""
    if isinstance(kind, ARRAY) and isinstance(kind.item_type, _PLAIN):
        return _array
    process: Callable[[Any], Any] | None = kind.dialect_impl(_DIALECT).bind_processor(_DIALECT)
    return process


def _array(items: Sequence[object] | None) -> str | None:
    """An array as PostgreSQL spells it, for a place with a cast.

    psycopg looks at every list anew to find out what is in it: a tenth of what a search costs us.
    """
    if items is None:
        return None
    return "{" + ",".join(["NULL" if item is None else _spelt(item) for item in items]) + "}"


def _spelt(item: object) -> str:
    return item.isoformat() if isinstance(item, datetime) else str(item)


def _is_personal(query: ClauseElement) -> bool:
    found: list[object] = []
    visitors.traverse(query, {}, {"table": found.append, "insert": found.append, "update": found.append})
    tables = [getattr(one, "table", one) for one in found]
    return any(isinstance(table, Table) and table.info.get(PERSONAL) for table in tables)


def calls(**parameters: TypeEngine[Any]) -> Subquery:
    """The calls that a statement is for, a row for each, from one array for each parameter; `place` counts from 1.

    All are of one clinic, whose `clinic_id` is bound once and is a column of every row.
    """
    arrays = [bindparam(name, type_=ARRAY(kind)) for name, kind in parameters.items()]
    columns = [column(name, kind) for name, kind in parameters.items()]
    unnested = func.unnest(*arrays).table_valued(*columns, with_ordinality=PLACE, name="call").render_derived()
    return select(bindparam(CLINIC, type_=Integer()).label(CLINIC), *unnested.c).subquery("calls")


def locking_calls(**parameters: TypeEngine[Any]) -> CTE:
    """`calls()` of a statement that locks rows.

    Binds `lock_timeout`, which holds for this statement only: who travels together waits less for a stranger's lock.
    """
    called = calls(**parameters)
    patience = func.set_config(constant(LOCK_TIMEOUT), bindparam(LOCK_TIMEOUT, type_=Text()), true())
    return select(*called.c).select_from(called.join(patience.alias("patience"), true())).cte("wish")


def constant(value: str) -> ColumnElement[str]:
    """A word of our own, written into the SQL text.

    A bound parameter would keep the planner from matching partial indexes (`WHERE status = 'open'`).
    """
    assert value.replace("_", "").replace(".", "").isalnum(), "only words of our own"
    return literal_column(f"'{value}'", Text())
