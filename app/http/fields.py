"""The field types of requests: strict, bounded, and the same in bodies, paths and queries."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

BIGINT_MAX = 2**63 - 1
# RFC 3339, section 5.6, without leap seconds: PostgreSQL has none.
_INSTANT = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)",
    flags=re.ASCII,
)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", flags=re.ASCII | re.IGNORECASE)
# One spelling for each number: `007` is no id.
_INTEGER = re.compile(r"-?(0|[1-9]\d{0,18})", flags=re.ASCII)
# PostgreSQL's JSON leaves out the last zeros of a fraction.
_SHORT_FRACTION = re.compile(r"\.(\d{1,5})Z\"", flags=re.ASCII)


class Body(BaseModel):
    """A request body: no unknown fields, no coercion (`true` and `"10"` are no integers)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Query(BaseModel):
    """A query string: no unknown parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)


class Answer(BaseModel):
    """An answer: only the fields that stand in it, whatever the record behind it holds."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


def _instant(value: Any) -> datetime:
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        raise ValueError("must be an RFC 3339 time with an offset, such as 2030-01-31T09:00:00Z")
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("is no time that a calendar has") from error


def _uuid(value: Any) -> UUID:
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise ValueError("must be a UUID in its canonical form")
    return UUID(value)


def _integer(value: Any) -> int:
    if not isinstance(value, str) or not _INTEGER.fullmatch(value):
        raise ValueError("must be a whole number")
    return int(value)


def _boolean(value: Any) -> bool:
    if value not in ("true", "false"):
        raise ValueError("must be true or false")
    return bool(value == "true")


def _without_nul(value: str) -> str:
    # PostgreSQL's text cannot hold it.
    if "\0" in value:
        raise ValueError("must not contain a NUL character")
    return value


Instant = Annotated[datetime, BeforeValidator(_instant)]
RecordId = Annotated[UUID, BeforeValidator(_uuid)]
SlotNumber = Annotated[int, Field(ge=1, le=BIGINT_MAX)]
# Bounds before the parser, or they are missing in the OpenAPI document.
SlotNumberText = Annotated[int, Field(ge=1, le=BIGINT_MAX), BeforeValidator(_integer)]
FlagText = Annotated[bool, BeforeValidator(_boolean)]
LimitText = Annotated[int, Field(ge=1, le=100), BeforeValidator(_integer)]
FreeText = Annotated[str, AfterValidator(_without_nul)]
# At least one character that can be seen.
Line = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S"), AfterValidator(_without_nul)]


def unchanged() -> Any:
    """The default of a field that may be left out but not be null; read with `model_dump(exclude_unset=True)`."""
    return Field(default_factory=lambda: None)


def instants_respelt(text: str) -> str:
    """JSON of PostgreSQL's with its times, which are in UTC, spelt as in all other answers.

    Those have `Z`, and six digits after the point or none.
    """
    text = text.replace('+00:00"', 'Z"')
    if "." in text:
        text = _SHORT_FRACTION.sub(lambda fraction: f'.{fraction[1]:0<6}Z"', text)
    return text
