"""What endpoints get that seal or open text."""

from typing import Annotated, cast

from fastapi import Depends, Request

from app.encryption.rules import KeyRing


async def _key_ring(request: Request) -> KeyRing:
    return cast("KeyRing", request.app.state.key_ring)


Ring = Annotated[KeyRing, Depends(_key_ring)]
