"""What is sent and answered about the second factor."""

from typing import Annotated

from pydantic import Field

from app.http.fields import Answer, Body, FreeText
from app.identity.users.schemas import GivenPassword

# Twice the longest code, for spaces and hyphens between its groups.
CODE_LENGTH_MAX = 40
Otp = Annotated[
    FreeText,
    Field(max_length=CODE_LENGTH_MAX, examples=["492039"], description="A code of the app, or a recovery code."),
]


class TotpSetUp(Body):
    """The password again: a device that was left open must not be enough."""

    password: GivenPassword


class OtpProof(Body):
    """A code of the app."""

    otp: Otp


class TotpSecret(Answer):
    """What an authenticator app needs; told this once."""

    secret: str = Field(description="In base32, to type in.")
    otpauth_uri: str
    qr_svg: str = Field(description="The address as a QR code, an `<svg>` element.")


class RecoveryCodes(Answer):
    """Each logs in once without the app. Told this once: keep them on paper."""

    recovery_codes: list[str]
