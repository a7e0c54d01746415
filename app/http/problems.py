"""The one place that turns a refusal into an answer (RFC 9457) and that documents it."""

import functools
import re
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from app.kit.errors import (
    BodyTooLarge,
    DomainError,
    FieldError,
    InternalError,
    Invalid,
    Kind,
    MethodNotAllowed,
    NotFound,
    UnsupportedMediaType,
)
from app.observability import context

STATUS = {
    Kind.MALFORMED: 400,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.METHOD_NOT_ALLOWED: 405,
    Kind.CONFLICT: 409,
    Kind.TOO_LARGE: 413,
    Kind.UNSUPPORTED: 415,
    Kind.INVALID: 422,
    Kind.RATE_LIMITED: 429,
    Kind.INTERNAL: 500,
    Kind.UNAVAILABLE: 503,
}
TITLES = {
    Kind.MALFORMED: "Malformed request",
    Kind.UNAUTHENTICATED: "Not authenticated",
    Kind.FORBIDDEN: "Not allowed",
    Kind.NOT_FOUND: "Not found",
    Kind.METHOD_NOT_ALLOWED: "Method not allowed",
    Kind.CONFLICT: "Conflict",
    Kind.TOO_LARGE: "Body too large",
    Kind.UNSUPPORTED: "Unsupported media type",
    Kind.INVALID: "Not valid",
    Kind.RATE_LIMITED: "Too many requests",
    Kind.INTERNAL: "Internal error",
    Kind.UNAVAILABLE: "Temporarily unavailable",
}
MEDIA_TYPE = "application/problem+json"
_TYPE_PREFIX = "urn:telemed:problem:"
# A thousand slots can be wrong in a thousand ways; the first ones are enough to mend a client.
FIELD_ERRORS_MAX = 20
_OF_STATUS: dict[int, type[DomainError]] = {
    404: NotFound,
    405: MethodNotAllowed,
    413: BodyTooLarge,
    415: UnsupportedMediaType,
}


class ProblemField(BaseModel):
    """One bad field of a `validation_error`."""

    field: str = Field(examples=["body.starts_at"])
    message: str


class Problem(BaseModel):
    """Every error of this API (RFC 9457)."""

    type: str = Field(examples=["urn:telemed:problem:slot_unavailable"])
    title: str
    status: int
    detail: str
    code: str = Field(description="Stable; decide by this one.", examples=["slot_unavailable"])
    request_id: str = Field(description="Tell us this one when you report a problem.")
    errors: list[ProblemField] | None = Field(default=None, description="With `validation_error` only.")


def response(error: DomainError, *, headers: dict[str, str] | None = None) -> JSONResponse:
    """The answer for a refusal."""
    return JSONResponse(
        body(error),
        status_code=STATUS[error.kind],
        media_type=MEDIA_TYPE,
        headers={**_headers(error), **(headers or {})},
    )


def body(error: DomainError, *, request_id: str | None = None) -> dict[str, Any]:
    """The problem as JSON, by default of the request being served."""
    problem: dict[str, Any] = {
        "type": _TYPE_PREFIX + error.code,
        "title": TITLES[error.kind],
        "status": STATUS[error.kind],
        "detail": error.detail,
        "code": error.code,
        "request_id": request_id or context.request_id(),
    }
    if isinstance(error, Invalid):
        problem["errors"] = [{"field": wrong.field, "message": wrong.message} for wrong in error.errors]
    return problem


def refusals(*errors: type[DomainError]) -> dict[int | str, dict[str, Any]]:
    """FastAPI's `responses=` for these errors: one entry for a status, one example for a code."""
    documented: dict[int | str, dict[str, Any]] = {}
    for error in errors:
        status = STATUS[error.kind]
        entry = documented.setdefault(status, _documented_status(error.kind))
        content = entry["content"][MEDIA_TYPE]
        content["examples"][error.code] = {
            "summary": error.sentence,
            "value": {
                "type": _TYPE_PREFIX + error.code,
                "title": TITLES[error.kind],
                "status": status,
                "detail": error.sentence,
                "code": error.code,
                "request_id": "0198c0de-7a3f-7c11-9d2e-5b1f0a6c4e21",
                **({"errors": [{"field": "body", "message": "Field required"}]} if error is Invalid else {}),
            },
        }
        entry["description"] = " · ".join(f"`{code}`" for code in content["examples"])
    return documented


def merged(*documents: dict[int | str, dict[str, Any]]) -> dict[int | str, dict[str, Any]]:
    """Several `responses=` as one, the examples of a status together."""
    result: dict[int | str, dict[str, Any]] = {}
    for document in documents:
        for status, entry in document.items():
            known = result.get(status)
            if known is None or MEDIA_TYPE not in entry.get("content", {}):
                result[status] = entry
                continue
            examples = {
                **known["content"][MEDIA_TYPE]["examples"],
                **entry["content"][MEDIA_TYPE]["examples"],
            }
            headers = {**known.get("headers", {}), **entry.get("headers", {})}
            result[status] = {
                **entry,
                **({"headers": headers} if headers else {}),
                "description": " · ".join(f"`{code}`" for code in examples),
                "content": {MEDIA_TYPE: {**entry["content"][MEDIA_TYPE], "examples": examples}},
            }
    return result


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem."""
    app.add_exception_handler(DomainError, _answer_domain_error)
    app.add_exception_handler(RequestValidationError, _answer_validation_error)
    app.add_exception_handler(HTTPException, _answer_http_exception)


def field_errors(errors: Sequence[Any]) -> list[FieldError]:
    """Pydantic's findings as ours. Never the input: it may be a password."""
    return [
        FieldError(".".join(str(part) for part in error["loc"]), error["msg"].removeprefix("Value error, "))
        for error in errors[:FIELD_ERRORS_MAX]
    ]


async def _answer_domain_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DomainError)
    return response(error)


async def _answer_validation_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if found and found[0]["type"] == "json_invalid":
        return response(Invalid(FieldError("body", "is not valid JSON")))
    return response(Invalid(*field_errors(found)))


async def _answer_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == STATUS[Kind.MALFORMED]:
        # FastAPI's word for a body that it could not parse.
        return response(Invalid(FieldError("body", "cannot be read")))
    headers = dict(error.headers or {})
    if error.status_code == STATUS[Kind.METHOD_NOT_ALLOWED]:
        # Starlette names the methods of the first route with this path, and the others would seem not to exist.
        headers["Allow"] = ", ".join(sorted(_methods_of(request))) or headers["Allow"]
    return response(_OF_STATUS.get(error.status_code, InternalError)(), headers=headers)


def _methods_of(request: Request) -> set[str]:
    """Every documented method of this path; none for a path outside the document."""
    documented: dict[str, dict[str, Any]] = request.app.openapi()["paths"]
    path = request.scope["path"]
    return {
        method.upper()
        for template, methods in documented.items()
        if _pattern(template).fullmatch(path)
        for method in methods
    }


@functools.cache
def _pattern(template: str) -> re.Pattern[str]:
    return compile_path(template)[0]


def _headers(error: DomainError) -> dict[str, str]:
    headers: dict[str, str] = {}
    if error.kind is Kind.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    if error.location is not None:
        headers["Location"] = error.location
    if error.is_replay:
        headers["Idempotency-Replayed"] = "true"
    return headers


def _documented_status(kind: Kind) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "description": TITLES[kind],
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}},
    }
    if kind is Kind.UNAUTHENTICATED:
        entry["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}, "required": True}}
    if kind in (Kind.UNAVAILABLE, Kind.RATE_LIMITED):
        entry["headers"] = {"Retry-After": {"schema": {"type": "string"}, "required": True}}
    return entry
