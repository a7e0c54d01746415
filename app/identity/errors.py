"""Why somebody is not who they say they are."""

from app.kit.errors import DomainError, Forbidden, Kind


class InvalidCredentials(DomainError):
    """Unknown e-mail, wrong password, disabled user: one answer, after the same time."""

    code = "invalid_credentials"
    kind = Kind.UNAUTHENTICATED
    sentence = "E-mail or password is wrong, or the account is not active."


class SecondFactorRequired(Forbidden):
    """A right caller of a role of which the clinic demands a second factor, without one."""

    code = "second_factor_required"
    kind = Kind.FORBIDDEN
    sentence = (
        "Your clinic demands a second factor, and you have none yet. Set one up (`POST /auth/mfa/totp` or "
        "`POST /auth/mfa/passkeys`), then refresh the token."
    )
