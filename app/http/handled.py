"""How a route serves its requests; the OpenAPI document still tells how it is declared.

FastAPI solves each dependency anew for each request, 15 µs apiece, takes a model of query parameters apart field by
field, and keeps three stacks open for what might have to be closed. What our endpoints get is mostly looked up in the
request, and path and query have been read before (`strict`, `query`). So a route without a body is served here, and
FastAPI serves one with a body with what is left.
"""

import copy
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from starlette.types import ASGIApp, Receive, Scope, Send

from app.http import query
from app.http.strict import JSON_MEDIA_TYPE

LookUp = Callable[[Request], Awaitable[Any]]
Handler = Callable[[Request], Coroutine[Any, Any, Response]]
_REQUEST = "request"


def served(handler: Handler) -> ASGIApp:
    """The application of a route without a body: what the handler raises is answered further out."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = await handler(Request(scope, receive, send))
        await response(scope, receive, send)

    return app


def without_body(route: APIRoute) -> Handler:
    """Handles the requests of a route whose endpoint gets what is in their path, their query and the application.

    Raises `TypeError` for a route that wants anything else.
    """
    own = handled(route.dependant)
    if own.dependencies or own.header_params or own.cookie_params or own.response_param_name:
        raise TypeError(f"{route.path}: without a body, an endpoint gets what can be looked up in the request")
    call = own.call
    assert call is not None, "a route has an endpoint"
    status = route.status_code or 200
    written = TypeAdapter(route.response_model) if route.response_model else None

    async def handle(request: Request) -> Response:
        found = await call(request)
        if isinstance(found, Response):
            return found
        if written is None:
            return Response(status_code=status)
        answer = written.validate_python(found, from_attributes=True)
        return Response(written.dump_json(answer, by_alias=True), status, media_type=JSON_MEDIA_TYPE)

    return handle


def handled(route: Dependant) -> Dependant:
    """The same route, whose call finds by itself what needs nothing but the request."""
    endpoint = route.call
    assert inspect.iscoroutinefunction(endpoint), "endpoints are async: a plain function would cost a thread hop"
    looked_up = {one.name: look_up for one in route.dependencies if one.name and (look_up := _look_up(one))}
    query_name = route.query_params[0].name if query.model_of(route) else None
    takes_path = bool(route.path_params)
    passes_request = route.request_param_name

    async def call(request: Request, **values: Any) -> Any:
        for name, look_up in looked_up.items():
            values[name] = await look_up(request)
        if takes_path:
            values.update(request.state.path)
        if query_name:
            values[query_name] = request.state.query
        if passes_request:
            values[passes_request] = request
        return await endpoint(**values)

    own = copy.copy(route)
    own.call = call
    own.request_param_name = _REQUEST
    own.path_params = []
    own.dependencies = [one for one in route.dependencies if one.name not in looked_up]
    if query_name:
        own.query_params = []
    return own


def _look_up(dependency: Dependant) -> LookUp | None:
    """What finds it, if that is an `async` function of the request alone, or of nothing."""
    call = dependency.call
    if not inspect.iscoroutinefunction(call):
        return None
    wanted = [parameter.annotation for parameter in inspect.signature(call).parameters.values()]
    if wanted == [Request]:
        return call
    return None if wanted else lambda _: call()
