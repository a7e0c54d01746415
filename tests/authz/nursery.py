"""Where mutants are born: a process that knows all libraries and nothing of the application, and forks.

Each child imports the application without what its mutant takes out, on a copy of the town's database, and tries the
cells until one is wrong. `python -m tests.authz.nursery` reads its orders from standard input, as JSON, and prints a
line of JSON for each. It imports nothing of the application itself: what is imported stays as it is.
"""

import contextlib
import importlib
import json
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Iterator
from typing import Any

import psycopg
from starlette.testclient import TestClient

from tests.authz.mutants import REMOVED, Importer, Mutant

# Handed to the children by the fork.
_orders: dict[str, Any] = {}


def main() -> None:
    _orders.update(json.load(sys.stdin))
    for name in _orders["libraries"]:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    fork = multiprocessing.get_context("fork")
    with fork.Pool(_orders["at_once"], maxtasksperchild=1) as pool:
        for told in pool.imap_unordered(_raise_child, range(len(_orders["mutants"])), chunksize=1):
            print(json.dumps(told), flush=True)


def _raise_child(number: int) -> dict[str, Any]:
    began = time.monotonic()
    told: dict[str, Any] = {"number": number, "open": [], "broken": [], "has_run": False, "tried": 0}
    try:
        named = [Mutant.of(one) for one in _orders["mutants"][number]["mutants"]]
        Importer.install([*named, *(one for mutant in named for one in mutant.beside)])
        # What the application logs is no answer of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        order = _orders["mutants"][number]
        with _database(f"mutant_{os.getpid()}", template=order["template"]) as url:
            _try(url, order, told)
    except BaseException:  # noqa: BLE001 - whatever it dies of, the application would not start either
        told["broken"].append(traceback.format_exc()[-600:])
    told["seconds"] = time.monotonic() - began
    return told


@contextlib.contextmanager
def _database(name: str, *, template: str) -> Iterator[str]:
    with psycopg.connect(_orders["superuser_url"], autocommit=True) as connection:
        # Two clones of one template at a time disturb each other.
        connection.execute("SELECT pg_advisory_lock(1)")
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} OWNER telemed_owner")
        connection.execute("SELECT pg_advisory_unlock(1)")
        yield _orders["urls"][template].replace(f"/{template}?", f"/{name}?")
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _try(url: str, order: dict[str, Any], told: dict[str, Any]) -> None:
    # Not before the importer stands in the way.
    from app.db.statement import Statement
    from app.main import create_app
    from tests.authz import alone, cells, matrix, town
    from tests.conftest import settings_for

    bind = Statement.bind

    def bind_and_note(self: Any, values: Any) -> Any:
        told["has_run"] |= bool(cells.ASKED) and REMOVED in self.text
        return bind(self, values)

    Statement.bind = bind_and_note  # type: ignore[method-assign]
    app = create_app(settings_for(url, access_token_expire_minutes=_orders["token_minutes"]))
    with (
        TestClient(app, raise_server_exceptions=False) as client,
        psycopg.connect(url, autocommit=True) as owner,
    ):
        here = town.restored(client, _orders["town"])
        if order["is_all"]:
            through = [alone.gets_through(cell, here, owner) for cell in alone.forbidden_cells(here)]
            told["tried"], told["open"] = len(through), [one for one in through if one]
            return
        findings = cells.Findings(here, owner)
        for method, path in order["calls"]:
            for cell in matrix.cells_of(here, (method, path)):
                if cell.principal.standing.name in order["standings"]:
                    findings.look_at(cell)
                if findings.open:
                    break
            if findings.open:
                break
        told["tried"], told["open"], told["broken"] = findings.tried.total(), findings.open, findings.broken


if __name__ == "__main__":
    main()
