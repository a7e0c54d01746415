"""Why somebody is not let in."""

from app.kit.errors import DomainError, Kind


class InvalidCredentials(DomainError):
    """Unknown e-mail, wrong password, disabled user: one answer, after the same time."""

    code = "invalid_credentials"
    kind = Kind.UNAUTHENTICATED
    sentence = "E-mail or password is wrong, or the account is not active."


class InvalidToken(DomainError):
    """A refresh token that is unknown, expired, of an ended session, or was used before."""

    code = "invalid_token"
    kind = Kind.UNAUTHENTICATED
    sentence = "This refresh token is no longer good. Log in again."
