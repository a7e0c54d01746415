"""The gate of every route: deny by default.

A route states `@requires(permission)` or `@public`; one that states neither fails when it is imported. The gate keeps
the contract's order of checks: token, role, media type, headers, path, query, and only then FastAPI reads the body.
"""

import inspect
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, cast

from fastapi import Depends, Request, Response
from fastapi.params import Form
from fastapi.routing import APIRoute

from app.audit.clauses import DENIED
from app.audit.service import record_event
from app.http import documents, problems, query, strict
from app.identity.rules import Permission, Principal, may
from app.kit.errors import (
    BodyTooLarge,
    DomainError,
    Forbidden,
    InternalError,
    Invalid,
    NotFound,
    RateLimited,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
)
from app.observability import context

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
HeaderCheck = Callable[[Request], None]


@dataclass(frozen=True, slots=True)
class Gate:
    """What must hold before an endpoint is called. Without a permission it is public."""

    permission: Permission | None
    check_headers: HeaderCheck | None


def requires(permission: Permission, *, headers: HeaderCheck | None = None) -> Callable[[Endpoint], Endpoint]:
    """Let only callers with `permission` reach the endpoint, and only with headers that pass."""
    return lambda endpoint: _with_gate(endpoint, Gate(permission, headers))


def public(endpoint: Endpoint) -> Endpoint:
    """Let everybody reach the endpoint."""
    return _with_gate(endpoint, Gate(None, None))


def gate_of(endpoint: Callable[..., Any]) -> Gate:
    """The gate that the endpoint states. Raises `TypeError` where it states none."""
    gate = getattr(endpoint, "gate", None)
    if not isinstance(gate, Gate):
        raise TypeError(f"{endpoint.__qualname__} states neither @requires(...) nor @public")
    return gate


class GuardedRoute(APIRoute):
    """A route with a gate; use it as `route_class` of every router."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        gate = gate_of(endpoint)
        options["responses"] = problems.merged(_implied(gate, path, endpoint), options.get("responses") or {})
        if gate.permission:
            # Without it Swagger UI, and clients made from the document, send no token.
            options["openapi_extra"] = {"security": [{documents.SECURITY_SCHEME: []}]}
        options["generate_unique_id_function"] = _name
        super().__init__(path, endpoint, **options)
        # Starlette's `$` also matches before a final line break, and `/consultations/%0A` would be the list.
        self.path_regex = re.compile(self.path_regex.pattern.removesuffix("$") + r"\Z")

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler behind the gate."""
        gate = gate_of(self.endpoint)
        read = self._reader(gate)
        handler = self._handler()

        async def guarded(received: Request) -> Response:
            # One request object throughout: a body can be received only once.
            request = strict.StrictRequest(received.scope, received.receive)
            principal = await _admit(request, gate.permission) if gate.permission else None
            try:
                if principal and gate.permission and not may(principal.role, gate.permission):
                    raise Forbidden
                await read(request)
                return await handler(request)
            except Forbidden:
                if principal:
                    await _record_denial(request, principal)
                raise

        return guarded

    def _handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own, which takes the query as it was read; the OpenAPI document still tells how it is declared."""
        declared = self.dependant
        if query.model_of(declared):
            self.dependant = query.read_already(declared)
        try:
            return super().get_route_handler()
        finally:
            self.dependant = declared

    def _reader(self, gate: Gate) -> Callable[[Request], Coroutine[Any, Any, None]]:
        """What is looked at before the body, in the contract's order."""
        path_fields = self.dependant.path_params
        takes_query = bool(self.dependant.query_params)
        query_model = query.model_of(self.dependant)
        media_type = self._media_type()

        async def read(request: Request) -> None:
            if media_type:
                await strict.check_media_type(request, media_type)
            if gate.check_headers:
                gate.check_headers(request)
            strict.check_path(request, path_fields)
            strict.check_query(request, takes_query=takes_query)
            if query_model:
                query.read(request, query_model)
            if media_type == strict.FORM_MEDIA_TYPE:
                await strict.check_form(request)

        return read

    def _media_type(self) -> str | None:
        if self.body_field is None:
            return None
        is_form = isinstance(self.body_field.field_info, Form)
        return strict.FORM_MEDIA_TYPE if is_form else strict.JSON_MEDIA_TYPE


async def _admit(request: Request, permission: Permission) -> Principal:
    """The caller. Raises `Unauthenticated`."""
    assert permission, "public routes admit everybody"
    given = request.headers.getlist("authorization")
    # Of two, a proxy in front of us may have checked the other one.
    scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    if scheme.lower() != "bearer":
        raise Unauthenticated
    principal: Principal = request.app.state.access_tokens.read(token.strip())
    if await request.app.state.revocations.refuses(principal):
        raise Unauthenticated
    request.state.principal = principal
    current = context.current()
    if current is not None:
        current.clinic_id = principal.clinic_id
        current.actor_id = principal.user_id
        current.actor_role = principal.role
    return principal


async def _record_denial(request: Request, principal: Principal) -> None:
    await record_event(
        request.app.state.db,
        clinic_id=principal.clinic_id,
        actor_id=principal.user_id,
        actor_role=principal.role,
        action="request.denied",
        entity_type="request",
        entity_id=None,
        outcome=DENIED,
        request_id=context.request_id(),
        details={"method": request.method, "route": request.scope["route"].path},
    )


async def _principal(request: Request) -> Principal:
    return cast("Principal", request.state.principal)


Caller = Annotated[Principal, Depends(_principal)]


def _name(route: APIRoute) -> str:
    return route.name


def _with_gate(endpoint: Endpoint, gate: Gate) -> Endpoint:
    endpoint.gate = gate  # type: ignore[attr-defined]  # functions take attributes
    return endpoint


def _implied(gate: Gate, path: str, endpoint: Callable[..., Any]) -> dict[int | str, dict[str, Any]]:
    """The refusals that follow from the gate and the shape of a route."""
    errors: list[type[DomainError]] = [Invalid, BodyTooLarge, RateLimited, InternalError, Unavailable]
    if gate.permission:
        errors += [Unauthenticated, Forbidden]
    if "{" in path:
        errors.append(NotFound)
    if {"body", "form"} & inspect.signature(endpoint).parameters.keys():
        errors.append(UnsupportedMediaType)
    return problems.refusals(*errors)
