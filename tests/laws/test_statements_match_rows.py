"""Every compiled statement fits the schema, and its columns are the fields of its row, in their order."""

import dataclasses
import functools
import inspect
import re
from typing import Any

import psycopg
import pytest

from app.db import migrate, turns
from app.db.statement import Statement
from tests.laws.catalog import modules


def _statements() -> list[Any]:
    """Every constant, and every built statement: without filters, with each alone, with all."""
    found: dict[str, Statement[Any]] = {}
    for module in [*modules("sql"), migrate, turns]:
        for name, value in vars(module).items():
            if isinstance(value, Statement):
                found[f"{module.__name__}.{name}"] = value
            elif isinstance(value, functools._lru_cache_wrapper) and value.__module__ == module.__name__:
                for given in _choices(module, value):
                    found[f"{module.__name__}.{name}({','.join(sorted(given))})"] = value(given)
    return [pytest.param(statement, id=place) for place, statement in found.items()]


def _choices(module: Any, build: Any) -> list[frozenset[str]]:
    """What a builder may be given: the names in the table of filters or fields that it reads."""
    read = _names_read(build.__wrapped__) | {
        name
        for helper in _names_read(build.__wrapped__)
        if inspect.isfunction(vars(module).get(helper))
        for name in _names_read(vars(module)[helper])
    }
    tables = [vars(module)[name] for name in read if isinstance(vars(module).get(name), dict)]
    names = {name for table in tables for name in table}
    assert names, f"{build.__name__} is built from no table of filters"
    alone = [frozenset({name}) for name in sorted(names)]
    # A search for open slots and one for booked ones are two; both at once would be none, and harmless.
    return [*([] if build.__name__ == "change_user" else [frozenset()]), *alone, frozenset(names)]


def _names_read(function: Any) -> set[str]:
    inner = [constant for constant in function.__code__.co_consts if inspect.iscode(constant)]
    return set(function.__code__.co_names) | {name for code in inner for name in code.co_names}


STATEMENTS = _statements()


def test_law_sees_the_statements() -> None:
    assert len(STATEMENTS) > 50


@pytest.mark.parametrize("statement", [case for case in STATEMENTS if dataclasses.is_dataclass(case.values[0].row)])
def test_columns_are_the_fields_of_the_row(statement: Statement[Any]) -> None:
    assert statement.columns == tuple(field.name for field in dataclasses.fields(statement.row))


@pytest.mark.parametrize("statement", STATEMENTS)
def test_statement_fits_the_schema(owner: psycopg.Connection, statement: Statement[Any]) -> None:
    """PostgreSQL parses it, knows every name in it, and tells the same columns."""
    numbers: dict[str, int] = {}
    numbered = re.sub(
        r"%\((\w+)\)s", lambda match: f"${numbers.setdefault(match[1], len(numbers) + 1)}", statement.text
    )
    # The driver says of a timedelta that it is an interval; PostgreSQL alone cannot know.
    text = re.sub(r"now\(\) - (\$\d+)", r"now() - \1::interval", numbered).replace("%%", "%")
    prepared = owner.pgconn.prepare(b"law", text.encode())
    assert not prepared.error_message, prepared.error_message.decode()
    told = owner.pgconn.describe_prepared(b"law")
    owner.execute("DEALLOCATE ALL")
    names = [(told.fname(index) or b"").decode() for index in range(told.nfields)]
    assert set(numbers) == statement.parameters | set(statement.defaults)
    if dataclasses.is_dataclass(statement.row):
        # Before the columns of a statement for several calls comes the call's place.
        assert names[statement.together is not None :] == list(statement.columns)
