"""What is sent and answered about passkeys: WebAuthn's own JSON (level 3, section 5.1), in a frame of ours."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.http.fields import Answer, Body, Line
from app.identity.sessions.schemas import GivenEmail, GivenToken
from app.identity.users.rules import DEFAULT_CLINIC
from app.identity.users.schemas import Clinic, GivenPassword

NAME = "Passkey"
# Attestations with a chain of certificates have some thousand bytes; the body has 64 KiB.
_BYTES_MAX = 32_768
Base64Url = Annotated[
    str, Field(max_length=_BYTES_MAX, pattern=r"^[A-Za-z0-9_-]+$", description="base64url", examples=["lPFqYmOmSd0"])
]

Kind = Annotated[Literal["public-key"], Field(examples=["public-key"])]


class _Foreign(BaseModel):
    """A part of WebAuthn's JSON: browsers may add to it."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class Attestation(_Foreign):
    """An authenticator's word on the passkey that it has made."""

    client_data: Base64Url = Field(alias="clientDataJSON")
    attestation: Base64Url = Field(alias="attestationObject")


class Assertion(_Foreign):
    """An authenticator's answer to a challenge."""

    client_data: Base64Url = Field(alias="clientDataJSON")
    authenticator_data: Base64Url = Field(alias="authenticatorData")
    signature: Base64Url
    user_handle: Base64Url | None = Field(default=None, alias="userHandle")


class NewCredential(_Foreign):
    """`RegistrationResponseJSON`, as `credential.toJSON()` makes it."""

    id: Base64Url
    raw_id: Base64Url = Field(alias="rawId")
    type: Kind
    response: Attestation


class AnsweredCredential(_Foreign):
    """`AuthenticationResponseJSON`, as `credential.toJSON()` makes it."""

    id: Base64Url
    raw_id: Base64Url = Field(alias="rawId")
    type: Kind
    response: Assertion


class PasskeyProof(Body):
    """The password again: a device that was left open must not be enough."""

    password: GivenPassword


class PasskeyConfirmation(Body):
    """What the authenticator has made, and what its owner calls it."""

    name: Annotated[Line, Field(examples=["Blue key"])] = NAME
    credential: NewCredential


class PasskeyLogin(Body):
    """E-mail and password of somebody who has a passkey."""

    email: GivenEmail
    password: GivenPassword
    clinic: Clinic = DEFAULT_CLINIC


class PasskeyAnswer(Body):
    """The ticket that came with the challenge, and the passkey's answer."""

    ticket: GivenToken
    credential: AnsweredCredential


class CreationOptions(Answer):
    """Give `options` to `PublicKeyCredential.parseCreationOptionsFromJSON()`; good once, for five minutes."""

    options: dict[str, Any]


class RequestOptions(Answer):
    """Give `options` to `PublicKeyCredential.parseRequestOptionsFromJSON()`; good once, for five minutes."""

    ticket: str = Field(description="Stands for the password: send it with the answer, and keep it nowhere.")
    options: dict[str, Any]


class Passkey(Answer):
    """A passkey of the caller's."""

    id: UUID
    name: str
    created_at: datetime
    last_used_at: datetime | None


class AddedPasskey(Passkey):
    """A passkey that was added."""

    recovery_codes: list[str] | None = Field(
        description="With the first second factor: each logs in once without it. Told this once: keep them on paper."
    )
