"""The OpenAPI document is whole: every operation is named, described, exemplified, and tells its refusals."""

from collections import Counter
from typing import Any

import pytest
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from tests.authz.needs import NEEDS
from tests.contract import document
from tests.laws.catalog import operations, routes

CALLS = [pytest.param(method, path, id=f"{method} {path}") for method, path, _ in routes()]
BODIES = [
    pytest.param(method, path, route, id=f"{method} {path}") for method, path, route in routes() if route.body_field
]
KEYED = {"/bookings/", "/prescriptions/"}


def operation(client: TestClient, method: str, path: str) -> dict[str, Any]:
    return dict(document(client)["paths"][path][method.lower()])


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_operation_has_a_summary_and_a_tag(client: TestClient, method: str, path: str) -> None:
    found = operation(client, method, path)
    assert found["summary"]
    assert len(found["tags"]) == 1
    assert found.get("description", ".").endswith(".")


def test_operation_ids_are_unique(client: TestClient) -> None:
    ids = Counter(found["operationId"] for _, _, found in operations(document(client)))
    assert {id for id, times in ids.items() if times > 1} == set()


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_operation_tells_its_common_refusals(client: TestClient, method: str, path: str) -> None:
    told = operation(client, method, path)["responses"].keys()
    wanted = {"422", "500", "503"}
    wanted |= {"401", "403"} if NEEDS[method, path] else set()
    wanted |= {"404"} if "{" in path else set()
    wanted |= {"413", "415"} if method in ("POST", "PATCH") else set()
    wanted |= {"400", "409"} if path in KEYED and method == "POST" else set()
    assert wanted <= told


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_refusals_are_problems_with_examples(client: TestClient, method: str, path: str) -> None:
    for status, answer in operation(client, method, path)["responses"].items():
        if int(status) < 400:
            continue
        examples = answer["content"]["application/problem+json"]["examples"]
        assert examples, status
        for code, example in examples.items():
            assert (example["value"]["code"], str(example["value"]["status"])) == (code, status)


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_operation_asks_for_a_token_where_it_needs_one(client: TestClient, method: str, path: str) -> None:
    assert bool(operation(client, method, path).get("security")) == (NEEDS[method, path] is not None)


@pytest.mark.parametrize(("method", "path", "route"), BODIES)
def test_body_has_an_example_that_is_valid(client: TestClient, method: str, path: str, route: APIRoute) -> None:
    [content] = operation(client, method, path)["requestBody"]["content"].values()
    assert route.body_field is not None
    _, errors = route.body_field.validate(example_of(content), {}, loc=("body",))
    assert not errors


def example_of(content: dict[str, Any]) -> Any:
    """The example of a media type, however it is given."""
    if "example" in content:
        return content["example"]
    return next(iter(content["examples"].values()))["value"]


@pytest.mark.parametrize("path", sorted(KEYED))
def test_key_is_a_required_header_that_says_how_long_it_is_kept(client: TestClient, path: str) -> None:
    headers = [one for one in operation(client, "POST", path)["parameters"] if one["in"] == "header"]
    [key] = [one for one in headers if one["name"] == "Idempotency-Key"]
    assert key["required"]
    assert "7 days" in key["description"]
    assert "7 days" in document(client)["info"]["description"]
