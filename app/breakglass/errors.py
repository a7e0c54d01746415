"""Why a break-glass grant was not reviewed."""

from app.kit.errors import DomainError, Kind


class AlreadyReviewed(DomainError):
    """The grant has its review."""

    code = "already_reviewed"
    kind = Kind.CONFLICT
    sentence = "Somebody has reviewed this already, and a review is never changed. Read the list again."
