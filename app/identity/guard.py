"""The gate of every route: deny by default.

A route states `@requires(permission)` or `@public`; one that states neither fails when it is imported. The gate keeps
the contract's order of checks: token, role, rate, media type, headers, path, query; only then FastAPI reads the body.
"""

import inspect
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, TypeVar, cast

from fastapi import Depends, Request, Response
from fastapi.params import Form
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from app.audit.clauses import DENIED
from app.audit.service import record_event
from app.http import documents, problems, query, strict
from app.http.handled import handled, served, without_body
from app.identity.errors import SecondFactorRequired
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
from app.ratelimit.rules import network_of
from app.ratelimit.service import RateLimits

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
HeaderCheck = Callable[[Request], None]


class Pace(Enum):
    """How often an endpoint may be called from one network; a caller's own limit holds at all of them."""

    # An orchestrator that is turned away would restart us for being busy.
    ANY = "any"
    ORDINARY = "ordinary"
    # Where passwords and codes are tried.
    STRICT = "strict"


@dataclass(frozen=True, slots=True)
class Gate:
    """What must hold before an endpoint is called. Without a permission it is public."""

    permission: Permission | None
    check_headers: HeaderCheck | None = None
    pace: Pace = Pace.ORDINARY
    # Whether it is open to who must set a second factor up before anything else.
    is_for_enrolling: bool = False


def requires(
    permission: Permission,
    *,
    headers: HeaderCheck | None = None,
    pace: Pace = Pace.ORDINARY,
    enrolling: bool = False,
) -> Callable[[Endpoint], Endpoint]:
    """Let only callers with `permission` reach the endpoint, and only with headers that pass.

    Who lacks the second factor that the clinic demands gets there if it says `enrolling`.
    """
    return lambda endpoint: _with_gate(endpoint, Gate(permission, headers, pace, enrolling))


def public(endpoint: Endpoint) -> Endpoint:
    """Let everybody reach the endpoint, at a strict pace: it is where people say who they are."""
    return _with_gate(endpoint, Gate(None, pace=Pace.STRICT))


def probed(endpoint: Endpoint) -> Endpoint:
    """Let everybody reach the endpoint, however often."""
    return _with_gate(endpoint, Gate(None, pace=Pace.ANY))


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
        # `$` also matches before a line feed at the end: `/doctors/%0A` would be the list of doctors.
        self.path_regex = re.compile(self.path_regex.pattern.removesuffix("$") + r"\Z")
        self._beginning = path.partition("{")[0]
        if self.body_field is None:
            self.app = served(self.get_route_handler())

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether a request is for this route. Most are for another one, which its first letters tell."""
        if not scope.get("root_path") and not scope["path"].startswith(self._beginning):
            return Match.NONE, {}
        return super().matches(scope)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler behind the gate."""
        gate = gate_of(self.endpoint)
        read = self._reader(gate)
        handler = self._handler()
        takes_body = self.body_field is not None

        async def guarded(received: Request) -> Response:
            # One request object throughout: a body can be received only once.
            request = strict.StrictRequest(received.scope, received.receive) if takes_body else received
            principal = await _admit(request, gate.permission) if gate.permission else None
            try:
                if principal and gate.permission and not may(principal.role, gate.permission):
                    raise Forbidden
                if principal and principal.needs_factor and not gate.is_for_enrolling:
                    raise SecondFactorRequired
                _count(request, principal, gate.pace)
                await read(request)
                return await handler(request)
            except Forbidden as refusal:
                if principal:
                    await _record_denial(request, principal, refusal)
                raise

        return guarded

    def _handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Ours; of a route with a body FastAPI's, which is left with what we do not look up ourselves."""
        if self.body_field is None:
            return without_body(self)
        declared = self.dependant
        self.dependant = handled(declared)
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
            strict.read_path(request, path_fields)
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


def _count(request: Request, principal: Principal | None, pace: Pace) -> None:
    """Raises `RateLimited`."""
    limits: RateLimits | None = request.app.state.rate_limits
    if limits is None or pace is Pace.ANY:
        return
    network = network_of(request.client.host if request.client else None)
    is_strict = pace is Pace.STRICT
    if principal is None:
        limits.check(network=network, is_strict=is_strict)
    else:
        limits.check(network=network, clinic_id=principal.clinic_id, caller=principal.user_id, is_strict=is_strict)


async def _record_denial(request: Request, principal: Principal, refusal: Forbidden) -> None:
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
        details={
            "method": request.method,
            "route": request.scope["route"].path,
            **({"reason": refusal.code} if refusal.code != Forbidden.code else {}),
        },
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
        if not gate.is_for_enrolling:
            errors.append(SecondFactorRequired)
    if "{" in path:
        errors.append(NotFound)
    if {"body", "form"} & inspect.signature(endpoint).parameters.keys():
        errors.append(UnsupportedMediaType)
    return problems.refusals(*errors)
