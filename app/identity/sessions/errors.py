"""Why a session does not go on."""

from app.kit.errors import DomainError, Kind


class InvalidToken(DomainError):
    """A refresh token that is unknown, expired, of an ended session, or was used before."""

    code = "invalid_token"
    kind = Kind.UNAUTHENTICATED
    sentence = "This refresh token is no longer good. Log in again."
