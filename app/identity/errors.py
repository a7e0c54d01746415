"""Why somebody is not who they say they are."""

from app.kit.errors import DomainError, Kind


class InvalidCredentials(DomainError):
    """Unknown e-mail, wrong password, disabled user: one answer, after the same time."""

    code = "invalid_credentials"
    kind = Kind.UNAUTHENTICATED
    sentence = "E-mail or password is wrong, or the account is not active."
