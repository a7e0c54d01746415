"""Secrets that a table must keep but not show: AES-256-GCM (NIST SP 800-38D), each bound to its place.

A sealed value that is moved to another row, column or table no longer opens.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

# The first byte says how the rest is to be read, so that another cipher can come.
_VERSION = b"\x01"
_NONCE_BYTES = 12


class SealBroken(Exception):
    """Made with another key, for another place, or changed since."""


def seal(key: bytes, value: bytes, *, place: str) -> bytes:
    """`value` under the 256-bit `key`, for `place` only (`table.column/clinic/row`). 29 bytes longer than `value`."""
    nonce = os.urandom(_NONCE_BYTES)
    return _VERSION + nonce + AESGCM(key).encrypt(nonce, value, place.encode())


def unseal(key: bytes, sealed: bytes, *, place: str) -> bytes:
    """What was sealed. Raises `SealBroken`."""
    begin = len(_VERSION)
    nonce, rest = sealed[begin : begin + _NONCE_BYTES], sealed[begin + _NONCE_BYTES :]
    try:
        if not sealed.startswith(_VERSION):
            raise ValueError("another version")
        return AESGCM(key).decrypt(nonce, rest, place.encode())
    except (InvalidTag, ValueError) as error:
        raise SealBroken from error
