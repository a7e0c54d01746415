"""What a use case may answer instead of a result. Knows kinds and codes, not HTTP."""

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar


class Kind(Enum):
    """Why a call was refused, in the words of the domain; `http.problems` turns it into a status."""

    MALFORMED = "malformed"
    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One bad field: its dotted place in the request (`body.starts_at`) and a sentence."""

    field: str
    message: str


class DomainError(Exception):
    """A refusal with a stable `code`, a `kind` and a sentence for a human.

    `location` is the address of the record that the refusal is about, if there is one.
    `retry_after_s` is set where the same call may succeed later, `is_replay` where it was told before under this key.
    """

    code: ClassVar[str]
    kind: ClassVar[Kind]
    sentence: ClassVar[str]
    retry_after_s: int | None = None
    by_code: ClassVar[dict[str, type["DomainError"]]] = {}
    is_replay = False

    def __init__(
        self, detail: str | None = None, *, location: str | None = None, retry_after_s: int | None = None
    ) -> None:
        super().__init__(self.code)
        self.detail = detail or self.sentence
        self.location = location
        if retry_after_s is not None:
            self.retry_after_s = retry_after_s

    def __init_subclass__(cls) -> None:
        if "code" not in cls.__dict__:
            return
        assert cls.code not in DomainError.by_code, f"two errors share the code {cls.code}"
        DomainError.by_code[cls.code] = cls


class Invalid(DomainError):
    """A request that is wrong whatever the state of the clinic."""

    code = "validation_error"
    kind = Kind.INVALID
    sentence = "The request is not valid. See `errors` for the fields."

    def __init__(self, *errors: FieldError) -> None:
        super().__init__()
        self.errors = errors


class Unauthenticated(DomainError):
    """No token, or one that is no longer good."""

    code = "unauthenticated"
    kind = Kind.UNAUTHENTICATED
    sentence = "A valid access token is needed. Log in, or refresh the token."


class Forbidden(DomainError):
    """A right caller with the wrong role."""

    code = "forbidden"
    kind = Kind.FORBIDDEN
    sentence = "Your role does not allow this."


class NotFound(DomainError):
    """What does not exist, and what the caller may not see: one answer for both."""

    code = "not_found"
    kind = Kind.NOT_FOUND
    sentence = "There is nothing here that you can see."


class MethodNotAllowed(DomainError):
    """A known path, asked with another method."""

    code = "method_not_allowed"
    kind = Kind.METHOD_NOT_ALLOWED
    sentence = "This address does not know that method."


class BodyTooLarge(DomainError):
    """A body over the limit of its route."""

    code = "body_too_large"
    kind = Kind.TOO_LARGE
    sentence = "The body is larger than this address accepts."


class UnsupportedMediaType(DomainError):
    """A body in another format than the route reads."""

    code = "unsupported_media_type"
    kind = Kind.UNSUPPORTED
    sentence = "The body must be sent with the content type that this address reads."


class InvalidCursor(DomainError):
    """A cursor that is damaged, or belongs to another list, filter or caller."""

    code = "invalid_cursor"
    kind = Kind.MALFORMED
    sentence = "This cursor does not belong to this list. Start again without one."


class RateLimited(DomainError):
    """More is asked at this moment than can be answered in time; nothing of this request was done."""

    code = "rate_limited"
    kind = Kind.RATE_LIMITED
    sentence = "Too much is asked at this moment. Repeat the same request after `Retry-After` seconds."
    retry_after_s = 1


class Unavailable(DomainError):
    """Rolled back or unknown; the same call, with the same key, is safe to repeat."""

    code = "unavailable"
    kind = Kind.UNAVAILABLE
    sentence = "The service cannot tell whether this was done. Retry with the same key."
    retry_after_s = 1


class InternalError(DomainError):
    """A bug. The details are in the log under the request id, never in the answer."""

    code = "internal_error"
    kind = Kind.INTERNAL
    sentence = "Something went wrong on our side. Report the request id if it persists."
