"""Opaque keyset cursors: a position in a list, sealed to that list, its filters and its caller."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence

from pydantic_core import from_json, to_json

from app.kit.errors import InvalidCursor

_SEAL_BYTES = 16


def seal(key: bytes, *, scope: Mapping[str, object], position: Sequence[str]) -> str:
    """A cursor for `position` that only opens with the same key and scope."""
    payload = to_json(list(position))
    return _encode(_tag(key, scope, payload) + payload)


def open_sealed(key: bytes, cursor: str, *, scope: Mapping[str, object], parts: int) -> list[str]:
    """The position that `seal` was given. Raises `InvalidCursor` for anything else."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidCursor from error
    tag, payload = raw[:_SEAL_BYTES], raw[_SEAL_BYTES:]
    if not hmac.compare_digest(tag, _tag(key, scope, payload)) or _encode(raw) != cursor:
        # base64 ignores the last bits of some lengths: a changed character could slip through.
        raise InvalidCursor
    position: list[str] = from_json(payload)
    assert len(position) == parts, "a sealed cursor has the parts of its list"
    return position


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _tag(key: bytes, scope: Mapping[str, object], payload: bytes) -> bytes:
    canonical = to_json(sorted(scope.items()), fallback=str)
    # The length in front keeps scope and payload from running into each other.
    message = len(canonical).to_bytes(8) + canonical + payload
    # Keyed BLAKE2 (RFC 7693): for each page of each list, and a tenth of what an HMAC takes of a crowded processor.
    return hashlib.blake2b(message, key=key, digest_size=_SEAL_BYTES).digest()
