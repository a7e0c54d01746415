"""`/openapi.json`, and Swagger UI at `/docs` with every asset served by us."""

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from app.http.problems import Problem

STATIC = Path(__file__).with_name("static")
# Swagger UI sets styles from its script and shows icons as data addresses; nothing may come from another host.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
ASSET_MAX_AGE_S = 3600
SECURITY_SCHEME = "password"


class _Assets(StaticFiles):
    """Swagger UI's files: the same for everybody, so they may be kept for a while."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = f"public, max-age={ASSET_MAX_AGE_S}"
        return response


def install(app: FastAPI) -> None:
    """Serve the page and the document of `app`."""
    app.router.routes.append(Route("/docs", _page, methods=["GET"]))
    app.router.routes.append(Mount("/docs/static", _Assets(directory=STATIC)))
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]  # FastAPI's documented way


async def _page(_request: Request) -> Response:
    return FileResponse(STATIC / "docs.html", headers={"Content-Security-Policy": PAGE_POLICY})


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
        components["schemas"]["Problem"] = _without_refs(Problem.model_json_schema())
        components["schemas"].pop("HTTPValidationError", None)
        components["schemas"].pop("ValidationError", None)
        components["securitySchemes"] = {
            SECURITY_SCHEME: {"type": "oauth2", "flows": {"password": {"tokenUrl": "/auth/token", "scopes": {}}}}
        }
        for operations in document["paths"].values():
            for operation in operations.values():
                _tell_first_sentence_first(operation)
        app.openapi_schema = document
    return app.openapi_schema


def _tell_first_sentence_first(operation: dict[str, Any]) -> None:
    """An endpoint's docstring begins with its summary; FastAPI would make one of the function's name."""
    summary, _, rest = operation.pop("description").partition("\n\n")
    operation["summary"] = summary.removesuffix(".")
    if rest:
        operation["description"] = rest


def _without_refs(schema: dict[str, Any]) -> dict[str, Any]:
    """A model's schema with its one nested definition written where it is used."""
    definitions = schema.pop("$defs", {})
    field = schema["properties"]["errors"]
    for choice in field["anyOf"]:
        if "items" in choice:
            choice["items"] = definitions[choice["items"]["$ref"].rsplit("/", 1)[-1]]
    return schema
