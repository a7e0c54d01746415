"""Reading a request by the letter, in the contract's order: media type, headers, path, query, body."""

import email.message
import json
from collections.abc import Sequence
from typing import Any

import pydantic_core
from fastapi import Request

from app.kit.errors import FieldError, Invalid, NotFound, UnsupportedMediaType

JSON_MEDIA_TYPE = "application/json"
FORM_MEDIA_TYPE = "application/x-www-form-urlencoded"


class StrictRequest(Request):
    """A request whose JSON is JSON: no NaN, no lone surrogates, no towers of brackets."""

    async def json(self) -> Any:
        """The body's value. Raises `JSONDecodeError`, which FastAPI turns into a validation error."""
        try:
            return pydantic_core.from_json(await self.body(), allow_inf_nan=False)
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


def check_path(request: Request, path_fields: Sequence[Any]) -> None:
    """Raises `NotFound` for an id that cannot be one."""
    for field in path_fields:
        _, errors = field.validate(request.path_params.get(field.alias), {}, loc=("path", field.alias))
        if errors:
            raise NotFound


def check_query(request: Request, *, takes_query: bool) -> None:
    """Raises `Invalid` for a parameter that is given twice, or to an address that takes none."""
    names = [name for name, _ in request.query_params.multi_items()]
    wrong = {name for name in names if not takes_query or names.count(name) > 1}
    if wrong:
        message = "is given more than once" if takes_query else "is not a parameter of this address"
        raise Invalid(*(FieldError(f"query.{name}", message) for name in sorted(wrong)))
