"""An authenticator in software (WebAuthn, P-256, attestation `none`), and what people do with one."""

import base64
import copy
import hashlib
import json
import secrets
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from httpx2 import Response

from tests.cast import PASSWORD, Person

PASSKEYS = "/auth/mfa/passkeys"
ORIGIN, HOST = "http://localhost:8000", "localhost"
_PRESENT, _VERIFIED, _WITH_KEY = 0x01, 0x04, 0x40
_AAGUID = bytes(16)


class Authenticator:
    """A device with one passkey, which counts how often it was used. A synchronised one never counts."""

    def __init__(self, *, origin: str = ORIGIN, host: str = HOST, counts: bool = True) -> None:
        self.origin, self.host = origin, host
        self.credential_id = secrets.token_bytes(32)
        self.sign_count = 0
        self._step = 1 if counts else 0
        self._key = ec.generate_private_key(ec.SECP256R1())

    def cloned(self) -> "Authenticator":
        """A copy, whose counter goes its own way."""
        return copy.copy(self)

    def creates(self, options: dict[str, Any]) -> dict[str, Any]:
        """What `navigator.credentials.create()` answers, as JSON."""
        numbers = self._key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)}
        length = len(self.credential_id).to_bytes(2)
        made = _AAGUID + length + self.credential_id + cbor2.dumps(cose)
        attestation = {"fmt": "none", "attStmt": {}, "authData": self._data(_WITH_KEY) + made}
        return self._credential(
            clientDataJSON=self._client_data("webauthn.create", options),
            attestationObject=cbor2.dumps(attestation),
        )

    def answers(self, options: dict[str, Any], *, user_handle: bytes | None = None) -> dict[str, Any]:
        """What `navigator.credentials.get()` answers, as JSON."""
        client_data = self._client_data("webauthn.get", options)
        self.sign_count += self._step
        data = self._data()
        signature = self._key.sign(data + hashlib.sha256(client_data).digest(), ec.ECDSA(hashes.SHA256()))
        handle = {} if user_handle is None else {"userHandle": user_handle}
        return self._credential(clientDataJSON=client_data, authenticatorData=data, signature=signature, **handle)

    def _data(self, flags: int = 0) -> bytes:
        told = bytes([_PRESENT | _VERIFIED | flags]) + self.sign_count.to_bytes(4)
        return hashlib.sha256(self.host.encode()).digest() + told

    def _client_data(self, kind: str, options: dict[str, Any]) -> bytes:
        told = {"type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": False}
        return json.dumps(told).encode()

    def _credential(self, **response: bytes) -> dict[str, Any]:
        id = base64url(self.credential_id)
        told = {name: base64url(value) for name, value in response.items()}
        return {"id": id, "rawId": id, "type": "public-key", "response": told, "clientExtensionResults": {}}


def base64url(value: bytes) -> str:
    """Without padding."""
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def begins_passkey(person: Person) -> dict[str, Any]:
    """The options for `navigator.credentials.create()`."""
    return dict(person.posts(PASSKEYS, {"password": PASSWORD}, expect=200).json()["options"])


def adds_passkey(person: Person, device: Authenticator | None = None) -> tuple[Authenticator, dict[str, Any]]:
    """A device with a passkey of this person's, and what was answered to it."""
    device = device or Authenticator()
    credential = device.creates(begins_passkey(person))
    return device, dict(person.posts(f"{PASSKEYS}/confirm", {"credential": credential}, expect=201).json())


def asks(person: Person, *, password: str = PASSWORD) -> Response:
    """With the password, for a challenge to log in by."""
    body = {"email": person.email, "password": password, "clinic": person.clinic.slug}
    return person.clinic.nobody.posts(f"{PASSKEYS}/challenge", body)


def challenge(person: Person) -> tuple[str, dict[str, Any]]:
    """The ticket, and the options for `navigator.credentials.get()`."""
    answer = asks(person)
    assert answer.status_code == 200, answer.text
    return answer.json()["ticket"], answer.json()["options"]


def answers(person: Person, ticket: str, credential: dict[str, Any]) -> Response:
    """The second step of a login."""
    return person.clinic.nobody.posts(f"{PASSKEYS}/login", {"ticket": ticket, "credential": credential})


def logs_in_with(person: Person, device: Authenticator) -> Response:
    """Both steps."""
    ticket, options = challenge(person)
    return answers(person, ticket, device.answers(options))
