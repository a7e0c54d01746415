"""What a key can be refused for."""

from app.kit.errors import DomainError, Kind


class IdempotencyKeyMissing(DomainError):
    """Rule 1: the header is required."""

    code = "idempotency_key_missing"
    kind = Kind.MALFORMED
    sentence = "Send an Idempotency-Key header: a fresh random value for each new request, the same for its retries."


class IdempotencyKeyInvalid(DomainError):
    """Rule 1: one header, 8 to 255 visible ASCII characters."""

    code = "idempotency_key_invalid"
    kind = Kind.MALFORMED
    sentence = "Send one Idempotency-Key header of 8 to 255 visible ASCII characters without spaces."


class IdempotencyKeyReused(DomainError):
    """Rule 4: same key, other body."""

    code = "idempotency_key_reused"
    kind = Kind.INVALID
    sentence = "This key was used for another request. Nothing was changed; send a new key for a new request."


class IdempotencyInFlight(DomainError):
    """Rule 6: the first request under this key takes longer than we wait."""

    code = "idempotency_in_flight"
    kind = Kind.CONFLICT
    sentence = "The first request with this key is still being worked on. Retry with the same key."
    retry_after_s = 1


class IdempotencyKeyExpired(DomainError):
    """Rule 10: what the key made is there; the answer is no longer kept."""

    code = "idempotency_key_expired"
    kind = Kind.CONFLICT
    sentence = "This key was used more than 7 days ago. Nothing was done; its result is at `Location`, if it made one."
