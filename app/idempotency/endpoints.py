"""The Idempotency-Key header, as every keyed endpoint reads it."""

from typing import Annotated, Any, cast
from uuid import UUID

from fastapi import Depends, Header, Request
from pydantic import BaseModel

from app.http import problems
from app.idempotency import rules
from app.idempotency.errors import (
    IdempotencyInFlight,
    IdempotencyKeyExpired,
    IdempotencyKeyInvalid,
    IdempotencyKeyMissing,
    IdempotencyKeyReused,
)
from app.kit.errors import DomainError

HEADER = "idempotency-key"
REFUSALS: tuple[type[DomainError], ...] = (
    IdempotencyKeyMissing,
    IdempotencyKeyInvalid,
    IdempotencyKeyReused,
    IdempotencyInFlight,
    IdempotencyKeyExpired,
)
_TEXT = (
    "A fresh random value (a UUID, say) for each new request, and the same for its retries. The first answer is kept "
    f"for {rules.ANSWER_KEPT.days} days and given again, with `Idempotency-Replayed: true`."
)
_REPLAYED = {
    "description": "`true` when this answer was given before under this key.",
    "schema": {"type": "string", "const": "true"},
}
_LOCATION = {"description": "The record's address.", "schema": {"type": "string"}}


def check_required(request: Request) -> None:
    """Raises `IdempotencyKeyMissing`, `IdempotencyKeyInvalid`."""
    if not request.headers.getlist(HEADER):
        raise IdempotencyKeyMissing
    check_optional(request)


def check_optional(request: Request) -> None:
    """Raises `IdempotencyKeyInvalid`."""
    values = request.headers.getlist(HEADER)
    if len(values) > 1 or not all(rules.is_well_formed(value) for value in values):
        raise IdempotencyKeyInvalid


def documented(*refusals: type[DomainError], is_required: bool) -> dict[int | str, dict[str, Any]]:
    """FastAPI's `responses=` of a keyed endpoint: its own refusals and the key's, and the headers of its answers."""
    of_key = REFUSALS if is_required else tuple(error for error in REFUSALS if error is not IdempotencyKeyMissing)
    responses = problems.refusals(*refusals, *of_key)
    kept = [status for status in responses if status in (404, 409)]
    for status in (201, *kept):
        headers = responses.setdefault(status, {}).setdefault("headers", {})
        headers["Idempotency-Replayed"] = _REPLAYED
    if is_required:
        responses[201]["headers"]["Location"] = {**_LOCATION, "required": True}
        responses[409]["headers"]["Location"] = _LOCATION
    return responses


# The gate has checked the form already, and answers 400; the bounds here are for the document.
_IN_HEADER = Header(alias="Idempotency-Key", description=_TEXT, pattern=r"^[!-~]*$", min_length=8, max_length=255)


async def _required(value: Annotated[str, _IN_HEADER]) -> str:
    return value


async def _optional(value: Annotated[str | None, _IN_HEADER] = None) -> str | None:
    return value


async def _fingerprint_secret(request: Request) -> bytes:
    return cast("bytes", request.app.state.fingerprint_key)


def scoped_key(
    value: str, *, clinic_id: int, user_id: UUID, operation: str, body: BaseModel, secret: bytes
) -> rules.Key:
    """The key in its scope, with the fingerprint of the validated body."""
    digest = rules.fingerprint(secret, operation=operation, body=body.model_dump(mode="json"))
    return rules.Key(clinic_id, user_id, operation, value, digest)


RequiredKey = Annotated[str, Depends(_required)]
OptionalKey = Annotated[str | None, Depends(_optional)]
FingerprintSecret = Annotated[bytes, Depends(_fingerprint_secret)]
