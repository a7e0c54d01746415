"""What row-level security stops when nothing in the application does: told by the answer, and by the tables."""

from collections.abc import Iterator

import psycopg

from tests.authz.cells import Cell
from tests.authz.deeds import rows
from tests.authz.matrix import cells_of
from tests.authz.needs import GUARDED
from tests.authz.town import Town, ids_in

# What somebody may know although they may not ask for it there: it is about them.
_ABOUT_THEM = """
    SELECT id::text FROM audit_logs WHERE subject_id = %(id)s
    UNION ALL SELECT id::text FROM break_glass_grants WHERE %(id)s IN (patient_id, doctor_id)
"""


def forbidden_cells(town: Town) -> Iterator[Cell]:
    """Those whose token is good: the wrong role, the wrong owner, the wrong clinic."""
    for call in GUARDED:
        yield from (cell for cell in cells_of(town, call) if cell.is_forbidden)


def gets_through(cell: Cell, town: Town, owner: psycopg.Connection) -> str | None:
    """What was done or told that must not be."""
    request = cell.request()
    person = cell.principal.person
    before = rows(owner, besides=person)
    response = cell.send(request)
    if changed := [table for table, found in rows(owner, besides=person).items() if found != before[table]]:
        return f"{cell}: {response.status_code}, changes {', '.join(changed)}"
    told = ids_in(response.json()) if response.is_success and response.content else set()
    assert cell.principal.role
    foreign = told & town.foreign(cell.kind, cell.principal.role) if cell.kind else set()
    foreign -= {id for (id,) in owner.execute(_ABOUT_THEM, {"id": person.id}).fetchall()} if foreign else set()
    return f"{cell}: {response.status_code}, tells {len(foreign)} of others" if foreign else None
