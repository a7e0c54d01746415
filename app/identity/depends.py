"""What identity's endpoints get from the application besides the database."""

from typing import Annotated, cast

from fastapi import Depends, Request

from app.identity.passwords import Passwords
from app.identity.tokens import AccessTokens


async def _passwords(request: Request) -> Passwords:
    return cast("Passwords", request.app.state.passwords)


async def _access_tokens(request: Request) -> AccessTokens:
    return cast("AccessTokens", request.app.state.access_tokens)


async def _refresh_key(request: Request) -> bytes:
    return cast("bytes", request.app.state.refresh_key)


async def _mfa_key(request: Request) -> bytes:
    return cast("bytes", request.app.state.mfa_key)


async def _link_key(request: Request) -> bytes:
    return cast("bytes", request.app.state.link_key)


PasswordHasher = Annotated[Passwords, Depends(_passwords)]
TokenIssuer = Annotated[AccessTokens, Depends(_access_tokens)]
RefreshKey = Annotated[bytes, Depends(_refresh_key)]
MfaKey = Annotated[bytes, Depends(_mfa_key)]
LinkKey = Annotated[bytes, Depends(_link_key)]
