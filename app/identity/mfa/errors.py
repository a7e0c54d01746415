"""Why a code does not help."""

from app.kit.errors import DomainError, Kind


class OtpRequired(DomainError):
    """The password is right, and the account has a second factor: an app with codes, or a passkey."""

    code = "otp_required"
    kind = Kind.UNAUTHENTICATED
    sentence = (
        "This account needs a second factor as well: a one-time or recovery code, sent as `otp`, or a passkey "
        "(`POST /auth/mfa/passkeys/challenge`)."
    )


class OtpInvalid(DomainError):
    """A code that is wrong, too old, used before, or of no app that was set up."""

    code = "otp_invalid"
    kind = Kind.UNAUTHENTICATED
    sentence = "This code is wrong, too old, or was used before. Wait for the next one, or use a recovery code."


class LastSecondFactor(DomainError):
    """The clinic demands a second factor of this role, and there would be none left."""

    code = "last_second_factor"
    kind = Kind.CONFLICT
    sentence = "Your clinic demands a second factor, and this is your only one. Add another one first."


class TotpAlreadyOn(DomainError):
    """A confirmed app stays until it is removed with one of its codes: a stolen session must not replace it."""

    code = "totp_already_on"
    kind = Kind.CONFLICT
    sentence = "One-time codes are on already. Turn them off first, with a code of the present app."
