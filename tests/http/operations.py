"""What the OpenAPI document says can be sent: the operations, their fields, and a good request for each."""

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from app.identity.rules import DOCTOR, PATIENT
from app.main import create_app
from tests.authz.needs import roles_for
from tests.cast import Clinic, Person
from tests.conftest import settings_for

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Field:
    """A leaf of a request: where it is, what the document says of it, and whether null is a value."""

    place: tuple[str | int, ...]
    schema: dict[str, Any]
    is_nullable: bool

    @property
    def kind(self) -> str:
        """`integer`, `boolean`, `string`, or one of the special strings."""
        if "enum" in self.schema or "const" in self.schema:
            return "choice"
        return str(self.schema.get("format") or self.schema["type"])


@dataclass(frozen=True, slots=True)
class Operation:
    """A method and a path of the document."""

    method: str
    path: str
    content: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def media_type(self) -> str | None:
        """What a body must be; `None` if there is none."""
        return next(iter(self.content["requestBody"]["content"]), None) if "requestBody" in self.content else None

    @property
    def good_body(self) -> Any:
        """The document's own example."""
        assert self.media_type
        return self.content["requestBody"]["content"][self.media_type]["example"]

    @property
    def needs_token(self) -> bool:
        return bool(self.content.get("security"))

    def body_fields(self) -> list[Field]:
        """Every leaf of the body."""
        assert self.media_type
        return list(_fields(self.content["requestBody"]["content"][self.media_type]["schema"], ()))

    def parameters(self, where: str) -> list[Field]:
        """The parameters in the `query`, `path` or `header`."""
        found = [one for one in self.content.get("parameters", []) if one["in"] == where]
        return [field for one in found for field in _fields(one["schema"], (one["name"],))]

    def caller(self, clinic: Clinic) -> Person:
        """Somebody who may call it."""
        roles = roles_for((self.method, self.path))
        if roles is None:
            return clinic.nobody
        if PATIENT in roles:
            return clinic.paul
        return clinic.dora if DOCTOR in roles else clinic.amara

    def good_path(self) -> str:
        """The path with an id that nobody has: what is wrong with a request comes before what exists."""
        return re.sub(r"\{[^}]+\}", "4000000" if "availability" in self.path else str(uuid.uuid4()), self.path)

    def open_path(self, clinic: Clinic) -> str:
        """The path with the id of a patient whose record the caller has opened, if it names one."""
        if "{" not in self.path:
            return self.path
        assert self.path.startswith("/patients/{id}/"), "the only lists that name somebody"
        self.caller(clinic).has_opened(clinic.paul)
        return self.path.replace("{id}", clinic.paul.id)


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document, without a database behind it."""
    return create_app(settings_for("postgresql://nobody@localhost/nowhere")).openapi()


def operations() -> list[Operation]:
    """All of them, in the document's order."""
    return [
        Operation(method.upper(), path, content)
        for path, methods in document()["paths"].items()
        for method, content in methods.items()
    ]


def with_raw_value(body: Any, place: tuple[str | int, ...], raw: str) -> bytes:
    """The body as JSON, with the raw text `raw` at `place`."""
    copied = json.loads(json.dumps(body))
    target = copied
    for step in place[:-1]:
        target = target[step]
    target[place[-1]] = "@@here@@"
    return json.dumps(copied).replace('"@@here@@"', raw).encode()


def _fields(schema: dict[str, Any], place: tuple[str | int, ...], *, is_nullable: bool = False) -> Iterator[Field]:
    schema = _resolved(schema)
    choices = [choice for choice in schema.get("anyOf", []) if choice.get("type") != "null"]
    if choices:
        assert len(choices) == 1, "a field is one thing or null"
        yield from _fields(choices[0], place, is_nullable=len(schema["anyOf"]) > 1)
    elif schema["type"] == "object":
        for name, inner in schema["properties"].items():
            yield from _fields(inner, (*place, name))
    elif schema["type"] == "array":
        yield from _fields(schema["items"], (*place, 0))
    else:
        yield Field(place, schema, is_nullable)


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return dict(document()["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]])
    return schema
