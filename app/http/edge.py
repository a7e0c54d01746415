"""The outermost layer: request id, size limit, security headers, last-resort error, one log line.

Plain ASGI, because a middleware made with `BaseHTTPMiddleware` costs a task and two queues for each request.
"""

import json
import random
import re
import time
from collections.abc import Iterable, Mapping

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http import problems
from app.kit.errors import BodyTooLarge, InternalError, RateLimited
from app.kit.ids import uuid7_text
from app.observability import context, logs

BODY_BYTES_MAX = 64 * 1024
# Far more than any limit; `int` refuses some thousands.
LENGTH_DIGITS_MAX = 18
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,128}", flags=re.ASCII)
# An API answer is never a page: nothing in it may load, run or be framed.
API_POLICY = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"
# A crowd that was turned away comes back over so many seconds.
RETRY_AFTER_S_MAX = 3
RawHeaders = Iterable[tuple[bytes, bytes]]
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_log = logs.logger("http")


ALWAYS = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))
UNLESS_GIVEN = ((b"content-security-policy", API_POLICY.encode()), (b"cache-control", b"no-store"))
_PLACE = "(request id)"
_PROBLEM = json.dumps(problems.body(RateLimited(), request_id=_PLACE)).encode()
# For the length of the body, seconds, the request id, more fields, and the request id again.
_TURNED_AWAY = (
    b"HTTP/1.1 429 Too Many Requests\r\n"
    b"content-type: " + problems.MEDIA_TYPE.encode() + b"\r\n"
    b"content-length: %d\r\nretry-after: %d\r\nx-request-id: %s\r\n"
    + b"".join(b"%s: %s\r\n" % pair for pair in (*ALWAYS, *UNLESS_GIVEN))
    + b"%s\r\n"
    + _PROBLEM.replace(b"%", b"%%").replace(_PLACE.encode(), b"%s")
)


class Edge:
    """Wraps the whole application. `body_limits` gives the paths that take more than 64 KiB."""

    def __init__(self, app: ASGIApp, *, body_limits: Mapping[str, int]) -> None:
        self._app = app
        self._body_limits = body_limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or pass on what is none."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request = context.RequestContext(_request_id(scope["headers"]), method=scope["method"])
        context.enter(request)
        answer = _Answer(send, request.request_id)
        try:
            if not _has_body(scope["headers"]):
                await self._app(scope, receive, answer.send)
                return
            limit = self._body_limits.get(scope["path"], BODY_BYTES_MAX)
            body = await _read_body(scope, receive, limit)
            if body is None:
                await problems.response(BodyTooLarge(), headers={"Connection": "close"})(scope, receive, answer.send)
            else:
                await self._app(scope, _replay(body, receive), answer.send)
        except ClientDisconnect:
            # Half a request is none: what has come of it may even look whole, such as a form without its end.
            _log.info("client left before its request was complete", method=request.method)
        except Exception:  # noqa: BLE001 - the outermost door
            _log.exception("request failed", method=request.method, route=_route(scope))
            if answer.status is None:
                await problems.response(InternalError())(scope, receive, answer.send)
        finally:
            logs.access(
                method=request.method,
                route=_route(scope),
                status=answer.status,
                duration_ms=round((time.perf_counter() - started) * 1000, 2),
                statements=request.statements,
            )


class _Answer:
    """Adds the headers that every answer bears, and remembers the status."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = message["headers"]
            names = {name for name, _ in given}
            given.append((b"x-request-id", self._request_id.encode()))
            given.extend(ALWAYS)
            given.extend(pair for pair in UNLESS_GIVEN if pair[0] not in names)
        await self._send(message)


def _has_body(headers: RawHeaders) -> bool:
    """Whether a request has one, as HTTP/1.1 tells (RFC 9112, section 6.3)."""
    return any(name in _FRAMING for name, _ in headers)


async def _read_body(scope: Scope, receive: Receive, limit: int) -> bytes | None:
    """The whole body, or `None` if it is over the limit. Size comes before token, and 256 KiB at most fit in memory."""
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if not declared.isdigit() or len(declared) > LENGTH_DIGITS_MAX or int(declared) > limit:
        return None
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > limit:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    is_given = False

    async def again() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def turned_away(given_id: bytes | None, server_headers: RawHeaders, *, stays: bool) -> bytes:
    """The whole answer to a request that was not let in; `stays` tells whether its connection does.

    Written by hand, because it is made thousands of times a second when there is no time for anything.
    """
    request_id = _taken_or_made(given_id).encode()
    # Not all at once again.
    retry_after_s = 1 + int(random.random() * RETRY_AFTER_S_MAX)  # noqa: S311 - no secret
    fields = b"".join([b"%s: %s\r\n" % pair for pair in server_headers])
    if not stays:
        fields += b"connection: close\r\n"
    length = len(_PROBLEM) - len(_PLACE) + len(request_id)
    return _TURNED_AWAY % (length, retry_after_s, request_id, fields, request_id)


def _request_id(headers: RawHeaders) -> str:
    for name, value in headers:
        if name == b"x-request-id":
            return _taken_or_made(value)
    return _taken_or_made(None)


def _taken_or_made(given: bytes | None) -> str:
    if given is None:
        return uuid7_text()
    text = given.decode("latin-1")
    return text if REQUEST_ID.fullmatch(text) else uuid7_text()


def _route(scope: Scope) -> str:
    """The template, never the path: ids and queries stay out of the logs."""
    route = scope.get("route")
    return getattr(route, "path", "(unknown)")


__all__ = ["BODY_BYTES_MAX", "Edge"]
