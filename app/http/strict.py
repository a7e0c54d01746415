"""Reading a request by the letter, in the contract's order: media type, headers, path, query, body."""

import email.message
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl

import pydantic_core
from fastapi import Request

from app.http.problems import FIELD_ERRORS_MAX
from app.kit.errors import FieldError, Invalid, NotFound, UnsupportedMediaType

JSON_MEDIA_TYPE = "application/json"
FORM_MEDIA_TYPE = "application/x-www-form-urlencoded"


class StrictRequest(Request):
    """A request whose JSON is JSON: no NaN, no lone surrogates, no towers of brackets, no name twice."""

    async def json(self) -> Any:
        """The body's value. Raises `JSONDecodeError`, which FastAPI turns into a validation error."""
        body = await self.body()
        try:
            pydantic_core.from_json(body, allow_inf_nan=False)
            # Only the standard library tells of a name that is given twice, and only pydantic's parser is safe from
            # towers of brackets: hence both, one after the other.
            return json.loads(body.decode(), object_pairs_hook=_object)
        except ValueError as error:
            raise json.JSONDecodeError("not JSON", "", 0) from error


async def check_media_type(request: Request, expected: str) -> None:
    """Raises `UnsupportedMediaType` unless there is no body or it is of the expected type."""
    given = request.headers.get("content-type")
    if given is None and not await request.body():
        return
    message = email.message.Message()
    message["content-type"] = given or ""
    if given is None or message.get_content_type() != expected:
        raise UnsupportedMediaType


def read_path(request: Request, path_fields: Sequence[Any]) -> None:
    """Read what stands in the path. Raises `NotFound` for an id that cannot be one."""
    request.state.path = values = {}
    for field in path_fields:
        values[field.name], errors = field.validate(request.path_params.get(field.alias), {}, loc=("path", field.alias))
        if errors:
            raise NotFound


def check_query(request: Request, *, takes_query: bool) -> None:
    """Raises `Invalid` for a parameter that is given twice, or to an address that takes none."""
    if not request.scope["query_string"]:
        return
    names = [name for name, _ in request.query_params.multi_items()]
    if not takes_query or len({*names}) < len(names):
        times = Counter(names)
        wrong = sorted(name for name in times if not takes_query or times[name] > 1)
        message = "is given more than once" if takes_query else "is not a parameter of this address"
        raise Invalid(*(FieldError(f"query.{name}", message) for name in wrong[:FIELD_ERRORS_MAX]))


async def check_form(request: Request) -> None:
    """Raises `Invalid` for a field that is given twice (RFC 6749, section 3.2)."""
    fields = parse_qsl((await request.body()).decode("latin-1"), keep_blank_values=True)
    times = Counter(name for name, _ in fields)
    wrong = sorted(name for name in times if times[name] > 1)
    if wrong:
        raise Invalid(*(FieldError(f"body.{name}", "is given more than once") for name in wrong[:FIELD_ERRORS_MAX]))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a name is given twice")
    return value
