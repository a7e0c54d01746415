"""No route without a gate, and everybody tried at each: `tests/authz/matrix.py`, cell by cell."""

from typing import Annotated

import psycopg
import pytest
from fastapi import APIRouter, Header
from starlette.testclient import TestClient

from app import main
from app.identity.guard import GuardedRoute, probed
from tests.authz.cells import FORBIDDEN, HALF, Findings
from tests.authz.matrix import cells_of, other_methods
from tests.authz.needs import NEEDS
from tests.authz.owned import uncovered
from tests.authz.town import Town
from tests.contract import document
from tests.laws.catalog import named, operations, routes

PUBLIC_PAGES = {"/openapi.json", "/docs", "/docs/static"}


def test_the_table_knows_every_route() -> None:
    assert {(method, path) for method, path, _ in routes()} == set(NEEDS)
    assert all(isinstance(route, GuardedRoute) for _, _, route in routes())


def test_document_knows_every_route(client: TestClient) -> None:
    assert {(method, path) for method, path, _ in operations(document(client))} == set(NEEDS)


def test_nothing_is_served_beside_the_routers(client: TestClient) -> None:
    served = client.app.routes  # type: ignore[attr-defined]
    assert {route.path for route in served if not isinstance(route, GuardedRoute)} == PUBLIC_PAGES
    assert len([route for route in served if isinstance(route, GuardedRoute)]) == len(routes())


def test_route_without_a_gate_fails_when_it_is_made() -> None:
    router = APIRouter(route_class=GuardedRoute)

    async def endpoint() -> None:
        """Nobody said who may call it."""

    with pytest.raises(TypeError, match="states neither"):
        router.get("/open")(endpoint)


def test_route_without_a_body_that_wants_more_than_its_request_has_fails_when_it_is_made() -> None:
    router = APIRouter(route_class=GuardedRoute)

    @probed
    async def endpoint(wanted: Annotated[str, Header()]) -> None:
        """A header would be read by nobody."""

    with pytest.raises(TypeError, match="what can be looked up in the request"):
        router.get("/open")(endpoint)


def test_every_router_makes_guarded_routes() -> None:
    assert {router.route_class for router in main.ROUTERS} == {GuardedRoute}


def test_matrix_leaves_nothing_out(client: TestClient) -> None:
    assert uncovered(document(client)) == []


@pytest.mark.parametrize(("method", "path"), named(NEEDS))
def test_everybody_is_answered_as_the_tables_say(town: Town, owner: psycopg.Connection, method: str, path: str) -> None:
    denied, findings = rows_denied(town, owner), Findings(town, owner)
    for cell in cells_of(town, (method, path)):
        findings.look_at(cell)
    assert findings.wrong == []
    # Every refusal with 403 leaves its row.
    assert rows_denied(town, owner) - denied == findings.tried[FORBIDDEN.name] + findings.tried[HALF.name]


@pytest.mark.parametrize("path", dict.fromkeys(path for _, path in NEEDS))
def test_other_methods_are_told_those_that_there_are(town: Town, owner: psycopg.Connection, path: str) -> None:
    findings = Findings(town, owner)
    for cell in other_methods(town, path):
        findings.look_at(cell)
    assert findings.wrong == []


def rows_denied(town: Town, owner: psycopg.Connection) -> int:
    row = owner.execute(
        "SELECT count(*) FROM audit_logs WHERE action = 'request.denied' AND clinic_id = ANY (%s)",
        [[clinic.id for clinic in town.clinics.values()]],
    ).fetchone()
    assert row is not None
    return int(row[0])
