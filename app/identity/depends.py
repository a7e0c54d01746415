"""What identity's endpoints get from the application besides the database."""

from datetime import timedelta
from typing import Annotated, cast

from fastapi import Depends, Request

from app.identity.attempts.service import Attempts
from app.identity.passkeys.rules import RelyingParty
from app.identity.passwords import Passwords
from app.identity.tokens import AccessTokens
from app.ratelimit.rules import network_of


async def _passwords(request: Request) -> Passwords:
    return cast("Passwords", request.app.state.passwords)


async def _access_tokens(request: Request) -> AccessTokens:
    return cast("AccessTokens", request.app.state.access_tokens)


async def _refresh_key(request: Request) -> bytes:
    return cast("bytes", request.app.state.refresh_key)


async def _mfa_key(request: Request) -> bytes:
    return cast("bytes", request.app.state.mfa_key)


async def _login_attempts(request: Request) -> Attempts:
    state = request.app.state
    key = None if state.rate_limits is None else state.attempts_key
    return Attempts(state.db, state.passwords, key, network_of(request.client.host if request.client else None))


async def _relying_party(request: Request) -> RelyingParty:
    return cast("RelyingParty", request.app.state.relying_party)


async def _refresh_lifetime(request: Request) -> timedelta:
    return cast("timedelta", request.app.state.refresh_lifetime)


async def _link_key(request: Request) -> bytes:
    return cast("bytes", request.app.state.link_key)


PasswordHasher = Annotated[Passwords, Depends(_passwords)]
TokenIssuer = Annotated[AccessTokens, Depends(_access_tokens)]
RefreshKey = Annotated[bytes, Depends(_refresh_key)]
MfaKey = Annotated[bytes, Depends(_mfa_key)]
LoginAttempts = Annotated[Attempts, Depends(_login_attempts)]
Site = Annotated[RelyingParty, Depends(_relying_party)]
RefreshLifetime = Annotated[timedelta, Depends(_refresh_lifetime)]
LinkKey = Annotated[bytes, Depends(_link_key)]
