"""Why a passkey does not help."""

from app.kit.errors import DomainError, Kind


class PasskeyInvalid(DomainError):
    """Another site's, another person's, a copy; or a challenge that is spent, too old, or of somebody else."""

    code = "passkey_invalid"
    kind = Kind.UNAUTHENTICATED
    sentence = "This passkey, or the challenge it answers, is not good. Begin again, with a new challenge."


class NoPasskey(DomainError):
    """The password is right, and there is no passkey to ask for."""

    code = "no_passkey"
    kind = Kind.CONFLICT
    sentence = "This account has no passkey. Log in with the password, and with a one-time code if it is asked for."


class PasskeyExists(DomainError):
    """A passkey is registered once in a clinic."""

    code = "passkey_exists"
    kind = Kind.CONFLICT
    sentence = "This passkey is registered already. Use another device, or remove it first."


class TooManyPasskeys(DomainError):
    """Nobody has that many devices."""

    code = "too_many_passkeys"
    kind = Kind.CONFLICT
    sentence = "This account has as many passkeys as it may have. Remove one that you do not use."
