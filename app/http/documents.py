"""`/openapi.json`, and Swagger UI at `/docs` with every asset served by us."""

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from app.http.fields import BIGINT_MAX
from app.http.problems import Problem

STATIC = Path(__file__).with_name("static")
# Swagger UI shows icons as data addresses, and needs neither inline scripts nor inline styles (tried in a browser).
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
ASSET_MAX_AGE_S = 3600
SECURITY_SCHEME = "password"
_REQUEST_ID_HEADER = {
    "description": "The request's id: yours, or one made for you. It is in every log line of ours.",
    "schema": {"type": "string", "minLength": 8, "maxLength": 128},
    "required": True,
}


class _Assets(StaticFiles):
    """Swagger UI's files: the same for everybody, so they may be kept for a while."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # RFC 9110 lets us ignore ranges; Starlette answers a bad one in plain text.
        headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
        await super().__call__({**scope, "headers": headers}, receive, send)

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = f"public, max-age={ASSET_MAX_AGE_S}"
        return response


def install(app: FastAPI) -> None:
    """Serve the page and the document of `app`."""
    page = (STATIC / "docs.html").read_bytes()

    async def show(_request: Request) -> Response:
        return Response(page, media_type="text/html", headers={"Content-Security-Policy": PAGE_POLICY})

    app.router.routes.append(Route("/docs", show, methods=["GET"]))
    app.router.routes.append(Mount("/docs/static", _Assets(directory=STATIC)))
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]  # FastAPI's documented way


def _document(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=app.description,
            routes=app.routes,
            tags=app.openapi_tags,
            license_info=app.license_info,
        )
        components = document["components"]
        schemas = components["schemas"]
        schemas["Problem"] = _without_refs(Problem.model_json_schema())
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        components["securitySchemes"] = {
            SECURITY_SCHEME: {"type": "oauth2", "flows": {"password": {"tokenUrl": "/auth/token", "scopes": {}}}}
        }
        _restore_integers(document)
        for operations in document["paths"].values():
            for operation in operations.values():
                _tell_first_sentence_first(operation)
                _complete(operation, schemas)
        app.openapi_schema = document
    return app.openapi_schema


def _tell_first_sentence_first(operation: dict[str, Any]) -> None:
    """An endpoint's docstring begins with its summary; FastAPI would make one of the function's name."""
    summary, _, rest = operation.pop("description").partition("\n\n")
    operation["summary"] = summary.removesuffix(".")
    if rest:
        operation["description"] = rest


def _complete(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Add what FastAPI does not know: the header of every answer, and an example of the whole body."""
    for answer in operation["responses"].values():
        answer.setdefault("headers", {})["X-Request-ID"] = _REQUEST_ID_HEADER
    for content in operation.get("requestBody", {}).get("content", {}).values():
        content["example"] = _example(content["schema"], schemas)


def _example(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """A good value of `schema`: the examples of its required fields, and of the optional ones that have any."""
    if "$ref" in schema:
        return _example(schemas[schema["$ref"].rsplit("/", 1)[-1]], schemas)
    if schema.get("examples"):
        return schema["examples"][0]
    if schema.get("type") == "array":
        return [_example(schema["items"], schemas)]
    required = schema.get("required", ())
    fields = schema["properties"].items()
    return {name: _example(field, schemas) for name, field in fields if name in required or field.get("examples")}


def _restore_integers(node: Any) -> None:
    """FastAPI's model of a schema keeps bounds as floats, which round 2^63-1 up."""
    if isinstance(node, list):
        for item in node:
            _restore_integers(item)
    elif isinstance(node, dict):
        for name, value in node.items():
            if name in {"minimum", "maximum"} and isinstance(value, float):
                node[name] = min(int(value), BIGINT_MAX)
            else:
                _restore_integers(value)


def _without_refs(schema: dict[str, Any]) -> dict[str, Any]:
    """A model's schema with its one nested definition written where it is used."""
    definitions = schema.pop("$defs", {})
    field = schema["properties"]["errors"]
    for choice in field["anyOf"]:
        if "items" in choice:
            choice["items"] = definitions[choice["items"]["$ref"].rsplit("/", 1)[-1]]
    return schema
