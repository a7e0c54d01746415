"""Who may do what to whose records: the whole matrix, and whether it notices what is taken out.

1. Every cell of `tests/authz/matrix.py`, on the application as it is.
2. Every guard and owner predicate taken out in turn (`tests/authz/mutants.py`), row-level security off, for it would
   stop what the application no longer does: some cell must be wrong.
3. All of them taken out at once, row-level security on: how many of the forbidden cells it stops alone.

Alone: `python -m tests.proof authz [--short]`.
"""

import importlib
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psycopg
from starlette.testclient import TestClient

from app.db import embedded, migrate
from app.identity.rules import ROLES, STAFF
from app.main import create_app
from tests.authz import matrix, town
from tests.authz.alone import forbidden_cells
from tests.authz.cells import Findings
from tests.authz.equivalents import BEHIND_NO_GUARD, EQUIVALENTS
from tests.authz.founding import build
from tests.authz.mutants import ROOT, Mutant, mutants
from tests.authz.needs import GUARDED, NEEDS, roles_for
from tests.authz.owned import uncovered
from tests.conftest import FAST_AND_LOOSE, TEMPLATE, cloned, settings_for
from tests.contract import document
from tests.laws.catalog import routes
from tests.proof.figures import Figure, Scenario, at_least, exactly, none, told

TOKEN_MINUTES = 600
UNGUARDED = "unguarded"
OPEN, BROKEN, SURVIVED, EQUIVALENT, UNREACHED = "open", "broken", "SURVIVED", "equivalent", "behind no guard"
LOST = "lost"
_OF_ENDPOINTS = {"no guard", "a permission of everybody's", "open to who lacks a factor"}
_EVERYTHING = {"is_all": False, "template": UNGUARDED, "calls": GUARDED, "standings": ["GOOD"]}
AT_ONCE = 2
STOPPED_MIN = 95.0


def run(*, one_in: int) -> list[Figure]:
    """All cells; and one in so many of the mutants."""
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded.attach(Path(folder) / "postgres", parameters=FAST_AND_LOOSE) as postgres,
    ):
        migrate.upgrade(postgres.url("telemed_owner"), app_role="telemed_app")
        with _served(postgres.url("telemed_owner")) as client:
            here = build(client)
            # Made while everything is in its place: what is asked for in vain is there.
            for cell in forbidden_cells(here):
                cell.request()
            saved = here.saved()
        with cloned(postgres, "plain") as url, _served(url) as client, psycopg.connect(url, autocommit=True) as owner:
            figures = _cells(town.restored(client, saved), owner)
        with cloned(postgres, UNGUARDED) as url:
            _disable_row_level_security(url)
            nursery = Nursery(postgres, saved)
            found = mutants()
            return figures + _caught(nursery, found[::one_in]) + _stopped(nursery, found)


@contextmanager
def _served(url: str) -> Iterator[TestClient]:
    app = create_app(settings_for(url, access_token_expire_minutes=TOKEN_MINUTES))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def _cells(here: town.Town, owner: psycopg.Connection) -> list[Figure]:
    gaps = uncovered(document(here.client))
    findings = Findings(here, owner)
    for call in NEEDS:
        for cell in matrix.cells_of(here, call):
            findings.look_at(cell)
    for path in dict.fromkeys(path for _, path in NEEDS):
        for cell in matrix.other_methods(here, path):
            findings.look_at(cell)
    print(*gaps, *findings.wrong, sep="\n")
    return [
        told("operations", len(NEEDS)),
        told("cells tried", findings.tried.total()),
        *(told(f"  {name}", count) for name, count in findings.tried.most_common()),
        none("cells wrong", len(findings.wrong)),
        none("operations, records, lists and keys uncovered", len(gaps)),
    ]


def _disable_row_level_security(url: str) -> None:
    """The view of doctors, too, shows whose they are not."""
    step = importlib.import_module("app.db.migrations.versions.0032_sessions_are_their_own")
    with psycopg.connect(url, autocommit=True) as connection:
        tables = connection.execute("SELECT oid::regclass::text FROM pg_class WHERE relrowsecurity").fetchall()
        for (table,) in tables:
            connection.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
        connection.execute(f"{step.DOCTORS} WHERE role = 'doctor'")


class Nursery:
    """`tests/authz/nursery.py`, in a process of its own."""

    def __init__(self, postgres: embedded.Attachment, saved: dict[str, Any]) -> None:
        self._told = {
            "town": saved,
            "token_minutes": TOKEN_MINUTES,
            "at_once": AT_ONCE,
            "superuser_url": postgres.url("postgres", "postgres"),
            "urls": {name: postgres.url("telemed_owner", name) for name in (TEMPLATE, UNGUARDED)},
            "libraries": [name for name in sys.modules if name.split(".")[0] not in ("app", "tests", "__main__")],
        }

    def raises(self, orders: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """What became of each, as it comes."""
        command = [sys.executable, "-m", "tests.authz.nursery"]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin
            assert process.stdout
            json.dump({**self._told, "mutants": orders}, process.stdin)
            process.stdin.close()
            yield from map(json.loads, process.stdout)


def _caught(nursery: Nursery, found: list[Mutant]) -> list[Figure]:
    """How many of them some cell notices; first, that none is wrong where nothing was taken out."""
    given = [(mutant, order) for mutant in found if (order := _order(mutant))]
    fates = [LOST] * len(given)
    for answer in nursery.raises([*(order for _, order in given), {**_EVERYTHING, "mutants": []}]):
        if answer["number"] == len(given):
            assert not answer["open"] + answer["broken"], answer
            continue
        mutant, _ = given[answer["number"]]
        fate = fates[answer["number"]] = _fate(mutant, answer)
        if fate not in (OPEN, BROKEN):
            print(f"{fate}: {mutant}", *([f"({EQUIVALENTS[mutant.key]})"] if fate == EQUIVALENT else []), flush=True)
    counts = Counter(fates)
    tried = counts.total() - counts[EQUIVALENT] - counts[UNREACHED]
    return [
        told("guards and owner predicates found", len(given)),
        *(told(f"  {how}", count) for how, count in Counter(mutant.how for mutant, _ in given).items()),
        told("  make no difference, for a stated reason", counts[EQUIVALENT]),
        told("  run behind no guard", counts[UNREACHED]),
        told("taken out in turn", tried),
        told("  noticed where somebody must be refused, or not reached", counts[OPEN]),
        told("  noticed where somebody must be let", counts[BROKEN]),
        exactly("noticed, of a hundred", 100 * (counts[OPEN] + counts[BROKEN]) / tried, 100),
    ]


def _fate(mutant: Mutant, answer: dict[str, Any]) -> str:
    if answer["open"] or answer["broken"]:
        if mutant.key in EQUIVALENTS:
            print(f"noticed, whatever is said of it: {mutant}", *answer["open"][:1], flush=True)
        return OPEN if answer["open"] else BROKEN
    if not answer["has_run"] and f"{mutant.path}:{mutant.place}" in BEHIND_NO_GUARD:
        return UNREACHED
    return EQUIVALENT if mutant.key in EQUIVALENTS else SURVIVED


def _order(mutant: Mutant) -> dict[str, Any] | None:
    """What is tried of it: the guard's own operation, or whatever a good token is for."""
    calls, standings = GUARDED, ["GOOD"]
    if mutant.how in _OF_ENDPOINTS:
        [call] = [
            (method, path)
            for method, path, route in routes()
            if route.endpoint.__name__ == mutant.place
            and ROOT / mutant.path == Path(str(sys.modules[route.endpoint.__module__].__file__))
        ]
        # What would change nothing: a permission that everybody has, a factor that is demanded of nobody there.
        roles = roles_for(call) or frozenset()
        if mutant.how == "a permission of everybody's" and roles == ROLES:
            return None
        if mutant.how == "open to who lacks a factor" and not roles & STAFF:
            return None
        calls = [call]
    if mutant.path.endswith(("endpoints.py", "guard.py")):
        standings = [one.name for one in town.Standing]
    room = Path(mutant.path).parent.name.replace("breakglass", "break-glass")
    # Where it is most likely to be noticed first.
    calls = sorted(calls, key=lambda call: room not in call[1])
    return {**_EVERYTHING, "mutants": [asdict(mutant)], "calls": calls, "standings": standings}


def _stopped(nursery: Nursery, found: list[Mutant]) -> list[Figure]:
    """Of what a good token does not allow, how much row-level security stops alone."""
    gate = [one for one in found if one.how == "never refuses" and "may" in one.text]
    everything = [*gate, *(one for one in found if one.how == "no predicate")]
    orders = [
        {**_EVERYTHING, "is_all": True, "template": TEMPLATE, "mutants": [asdict(one) for one in some]}
        for some in (gate, everything)
    ]
    figures = []
    for answer in sorted(nursery.raises(orders), key=lambda one: int(one["number"])):
        what = ("without the gate", "without the gate and all owner predicates")[answer["number"]]
        print(f"{what}:", *answer["open"], *answer["broken"], sep="\n  ", flush=True)
        tried, through = answer["tried"], len(answer["open"])
        share = 100 * (tried - through) / tried if tried else 0.0
        figures += [
            told(f"forbidden cells {what}", tried),
            at_least("  stopped by row-level security, of a hundred", share, STOPPED_MIN),
        ]
    return figures


AUTHZ = Scenario("authz", run, short={"one_in": 60}, full={"one_in": 1})
