"""The Idempotency-Key header, as every keyed endpoint reads it."""

from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Depends, Header, Request, Response
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
from app.idempotency.service import Once
from app.kit.errors import DomainError

Result = TypeVar("Result")

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


@dataclass(frozen=True, slots=True)
class GivenKey:
    """The key that came with a request, and the answer on which a replay is marked."""

    value: str
    secret: bytes
    response: Response

    def scoped(self, *, clinic_id: int, user_id: UUID, operation: str, body: BaseModel) -> rules.Key:
        """The key in its scope, with the fingerprint of the validated body."""
        digest = rules.fingerprint(self.secret, operation=operation, body=body.model_dump(mode="json"))
        return rules.Key(clinic_id, user_id, operation, self.value, digest)

    def answered(self, once: Once[Result], *, location: str | None = None) -> Result:
        """The result, with the headers of a keyed answer."""
        if location is not None:
            self.response.headers["Location"] = location
        if once.is_replay:
            self.response.headers["Idempotency-Replayed"] = "true"
        return once.result


async def _required(request: Request, response: Response, value: Annotated[str, _IN_HEADER]) -> GivenKey:
    return GivenKey(value, request.app.state.fingerprint_key, response)


async def _optional(
    request: Request, response: Response, value: Annotated[str | None, _IN_HEADER] = None
) -> GivenKey | None:
    return None if value is None else GivenKey(value, request.app.state.fingerprint_key, response)


RequiredKey = Annotated[GivenKey, Depends(_required)]
OptionalKey = Annotated[GivenKey | None, Depends(_optional)]
