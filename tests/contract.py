"""Every answer that a test sees is held against the OpenAPI document: its status, and a problem's code."""

import re
from functools import cache
from typing import Any

from httpx2 import Response
from starlette.testclient import TestClient

# What every address may answer, whatever it documents.
_EVERYWHERE = {"not_found", "method_not_allowed", "body_too_large"}
_HEADERS = (
    "x-request-id",
    "x-content-type-options",
    "referrer-policy",
    "content-security-policy",
    "cache-control",
)


def check_documented(client: TestClient, method: str, path: str, response: Response) -> None:
    """Raises `AssertionError` for an answer that the document does not announce."""
    for header in _HEADERS:
        assert header in response.headers, f"{method} {path} answers without {header}"
    is_problem = response.headers.get("content-type") == "application/problem+json"
    assert is_problem == (response.status_code >= 400), response.text
    code = response.json()["code"] if is_problem else None
    operation = operation_for(client, method, path)
    if operation is None or code in _EVERYWHERE:
        assert code in _EVERYWHERE or path in ("/docs", "/openapi.json"), f"{method} {path}: {response.text}"
        return
    documented = operation["responses"].get(str(response.status_code))
    assert documented, f"{method} {path} answers an undocumented {response.status_code}: {response.text}"
    if is_problem:
        examples = documented["content"]["application/problem+json"]["examples"]
        assert code in examples, f"{method} {path} answers an undocumented {code}"


def operation_for(client: TestClient, method: str, path: str) -> dict[str, Any] | None:
    """The document's operation for this request, if there is one; literal paths before templates."""
    paths = document(client)["paths"]
    for template, pattern in _patterns():
        if pattern.fullmatch(path.split("?", maxsplit=1)[0]):
            operation = paths[template].get(method.lower())
            if operation is not None:
                return dict(operation)
    return None


# No setting changes the document, and to make it takes a tenth of a second.
_document: dict[str, Any] = {}


def document(client: TestClient) -> dict[str, Any]:
    """The OpenAPI document that every application serves."""
    if not _document:
        _document.update(client.get("/openapi.json").json())
    return _document


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    paths = sorted(_document["paths"], key=lambda path: path.count("{"))
    return [(path, re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path))) for path in paths]
