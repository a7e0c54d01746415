"""Signatures by Ed25519 (RFC 8032): who knows the public key can check, and who has the secret can sign."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY_BYTES = 32
_ID_DIGITS = 16


class Signer:
    """Signs with the key that a 256-bit secret makes: the same secret, the same key, without any set-up."""

    def __init__(self, secret: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(secret)
        self.public = self._key.public_key().public_bytes_raw()
        self.key_id = key_id(self.public)

    def sign(self, text: bytes) -> bytes:
        """64 bytes; the same for the same text."""
        return self._key.sign(text)


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """The keys that are trusted, by their id."""

    keys: dict[str, bytes]

    @classmethod
    def of(cls, public: Iterable[bytes]) -> "PublicKeys":
        """Raises `ValueError` for what is no key."""
        keys = {key_id(one): one for one in public}
        for one in keys.values():
            Ed25519PublicKey.from_public_bytes(one)
        return cls(keys)

    def knows(self, name: str) -> bool:
        return name in self.keys

    def is_signed(self, name: str, text: bytes, signature: bytes) -> bool:
        """Whether the key of that id, which must be known, signed the text."""
        try:
            Ed25519PublicKey.from_public_bytes(self.keys[name]).verify(signature, text)
        except InvalidSignature:
            return False
        return True


def key_id(public: bytes) -> str:
    """A short name of a public key, made from it."""
    return hashlib.sha256(public).hexdigest()[:_ID_DIGITS]
