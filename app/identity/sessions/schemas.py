"""What is sent and answered when people log in and out."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.http.fields import Answer, Body, FreeText
from app.identity.passwords import LENGTH_MAX
from app.identity.users.rules import DEFAULT_CLINIC, EMAIL_LENGTH_MAX
from app.identity.users.schemas import Clinic, NewPassword

GivenEmail = Annotated[FreeText, Field(max_length=EMAIL_LENGTH_MAX, examples=["paul@demo.example"])]
GivenPassword = Annotated[FreeText, Field(max_length=LENGTH_MAX, examples=["demo-plum-tractor"])]
GivenToken = Annotated[FreeText, Field(max_length=4096, examples=["AAAAAaIl0MwQBFMwAh3w3nvHeL5yHhTPGpyRzAq1uFeCzP9o"])]


class Login(Body):
    """E-mail and password."""

    email: GivenEmail
    password: GivenPassword
    clinic: Clinic = DEFAULT_CLINIC


class PasswordForm(BaseModel):
    """The password grant of OAuth 2 (RFC 6749, section 4.3), for Swagger's *Authorize*."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    username: GivenEmail
    password: GivenPassword
    clinic: Clinic = DEFAULT_CLINIC
    grant_type: Literal["password", ""] = "password"


class RefreshRequest(Body):
    """The refresh token that came with the last answer."""

    refresh_token: GivenToken


class PasswordChange(Body):
    """The present password, and the next one."""

    current_password: GivenPassword
    new_password: NewPassword


class Tokens(Answer):
    """A short access token for `Authorization: Bearer …`, and a refresh token for the next pair."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - a kind, not a token
    expires_in: int = Field(description="Life of the access token, in seconds.", examples=[900])
    refresh_token: str
