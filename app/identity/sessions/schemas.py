"""What is sent and answered when people log in and out."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.http.fields import Answer, Body, FreeText
from app.identity.mfa.schemas import Otp
from app.identity.rules import Principal
from app.identity.tokens import AccessTokens, RefreshToken
from app.identity.users.rules import DEFAULT_CLINIC, EMAIL_LENGTH_MAX
from app.identity.users.schemas import Clinic, GivenPassword, NewPassword

GivenEmail = Annotated[FreeText, Field(max_length=EMAIL_LENGTH_MAX, examples=["paul@demo.example"])]
GivenToken = Annotated[FreeText, Field(max_length=4096, examples=["AAAAAaIl0MwQBFMwAh3w3nvHeL5yHhTPGpyRzAq1uFeCzP9o"])]


class Login(Body):
    """E-mail and password, and a one-time or recovery code where the account asks for one."""

    email: GivenEmail
    password: GivenPassword
    otp: Otp | None = None
    clinic: Clinic = DEFAULT_CLINIC


class PasswordForm(BaseModel):
    """The password grant of OAuth 2 (RFC 6749, section 4.3), for Swagger's *Authorize*."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    username: GivenEmail
    password: GivenPassword
    otp: Otp | None = None
    clinic: Clinic = DEFAULT_CLINIC
    grant_type: Literal["password", ""] = "password"


class RefreshRequest(Body):
    """The refresh token that came with the last answer."""

    refresh_token: GivenToken


class PasswordChange(Body):
    """The present password, and the next one."""

    current_password: GivenPassword
    new_password: NewPassword


class Session(Answer):
    """A login that can still be refreshed."""

    id: UUID
    created_at: datetime
    refreshed_at: datetime = Field(description="When its present refresh token was given out.")
    expires_at: datetime = Field(description="When it ends by itself unless it is refreshed before.")
    is_current: bool = Field(description="Whether this very request belongs to it.")


class Tokens(Answer):
    """A short access token for `Authorization: Bearer …`, and a refresh token for the next pair."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - a kind, not a token
    expires_in: int = Field(description="Life of the access token, in seconds.", examples=[900])
    refresh_token: str

    @classmethod
    def issued(cls, tokens: AccessTokens, principal: Principal, refresh_token: RefreshToken, *, now: datetime) -> Self:
        """The pair for somebody who was let in."""
        return cls(
            access_token=tokens.issue(principal, now=now),
            expires_in=int(tokens.lifetime.total_seconds()),
            refresh_token=str(refresh_token),
        )
