"""Why a consultation did not change."""

from app.kit.errors import DomainError, Kind


class InvalidTransition(DomainError):
    """The consultation is in a state from which there is no way to the wished one."""

    code = "invalid_transition"
    kind = Kind.CONFLICT
    sentence = "The consultation cannot change to that status any more. Read it again."


class TooLate(DomainError):
    """A patient cancels after the consultation began."""

    code = "too_late"
    kind = Kind.CONFLICT
    sentence = "The consultation has begun; only your doctor or the clinic can cancel it now."
