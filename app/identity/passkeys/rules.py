"""What is asked of an authenticator, and what its answers are worth (WebAuthn level 3, sections 7.1 and 7.2)."""

import hashlib
import hmac
import json
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import webauthn
from webauthn.helpers import (
    base64url_to_bytes,
    decode_credential_public_key,
    decoded_public_key_to_cryptography,
    parse_authentication_credential_json,
)
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.options_to_json_dict import options_to_json_dict
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

CHALLENGE_BYTES = 32
CHALLENGE_LIFETIME = timedelta(minutes=5)
PASSKEYS_MAX = 20
# WebAuthn level 3, section 4: no authenticator makes longer ones.
CREDENTIAL_ID_BYTES_MAX = 1023
_ALGORITHMS = [
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]
_TIMEOUT_MS = int(CHALLENGE_LIFETIME.total_seconds() * 1000)
_NAME = "Telemed"
_DEFAULT_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """The site that passkeys are for: browsers keep them to its host, and sign its origin."""

    host: str
    origin: str

    @classmethod
    def at(cls, url: str) -> "RelyingParty":
        """The site whose pages are below `url`."""
        parts = urlsplit(url)
        assert parts.hostname, "settings know that it has one"
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        # As browsers write it: without the port that the scheme implies.
        is_default = parts.port is None or parts.port == _DEFAULT_PORTS.get(parts.scheme)
        return cls(parts.hostname, f"{parts.scheme}://{host}" + ("" if is_default else f":{parts.port}"))


@dataclass(frozen=True, slots=True)
class NewPasskey:
    """What an authenticator tells of a passkey that it has made."""

    challenge: bytes
    credential_id: bytes
    public_key: bytes
    sign_count: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What a passkey has answered to a challenge, and the counter that it told."""

    challenge: bytes
    passkey_id: UUID
    sign_count: int

    @property
    def values(self) -> Mapping[str, object]:
        """What the statement that uses it binds."""
        return {"challenge": self.challenge, "passkey_id": self.passkey_id, "sign_count": self.sign_count}


def fresh_challenge() -> bytes:
    """Random, so that no answer can be made ahead."""
    return secrets.token_bytes(CHALLENGE_BYTES)


def creation_options(
    party: RelyingParty, *, challenge: bytes, user_id: UUID, email: str, full_name: str, known: Collection[bytes]
) -> dict[str, Any]:
    """`PublicKeyCredentialCreationOptionsJSON`: a passkey for this person, on no device that has one already."""
    options = webauthn.generate_registration_options(
        rp_id=party.host,
        rp_name=_NAME,
        user_id=user_id.bytes,
        user_name=email,
        user_display_name=full_name,
        challenge=challenge,
        timeout=_TIMEOUT_MS,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.DISCOURAGED,
            user_verification=UserVerificationRequirement.PREFERRED,
        ),
        exclude_credentials=_described(known),
        supported_pub_key_algs=_ALGORITHMS,
    )
    return options_to_json_dict(options)


def request_options(party: RelyingParty, *, challenge: bytes, known: Collection[bytes]) -> dict[str, Any]:
    """`PublicKeyCredentialRequestOptionsJSON`: an answer by one of these passkeys."""
    options = webauthn.generate_authentication_options(
        rp_id=party.host,
        challenge=challenge,
        timeout=_TIMEOUT_MS,
        allow_credentials=_described(known),
        user_verification=UserVerificationRequirement.PREFERRED,
    )
    return options_to_json_dict(options)


def read_new_passkey(party: RelyingParty, credential: Mapping[str, Any]) -> NewPasskey | None:
    """The passkey that was made, if it was made for this site; whether the challenge was ours, the database knows."""
    try:
        client_data = json.loads(base64url_to_bytes(credential["response"]["clientDataJSON"]))
        challenge = base64url_to_bytes(client_data["challenge"])
        made = webauthn.verify_registration_response(
            credential=dict(credential),
            expected_challenge=challenge,
            expected_rp_id=party.host,
            expected_origin=party.origin,
            supported_pub_key_algs=_ALGORITHMS,
        )
        # A key that cannot be read later would lock its owner out.
        decoded_public_key_to_cryptography(decode_credential_public_key(made.credential_public_key))
    except Exception:  # noqa: BLE001 - a door: parsers of JSON, CBOR, COSE and X.509 over a stranger's bytes
        return None
    if len(made.credential_id) > CREDENTIAL_ID_BYTES_MAX or len(challenge) != CHALLENGE_BYTES:
        return None
    return NewPasskey(challenge, made.credential_id, made.credential_public_key, made.sign_count)


def credential_id_of(credential: Mapping[str, Any]) -> bytes | None:
    """Which passkey says that it answers."""
    try:
        return base64url_to_bytes(credential["rawId"])
    except ValueError:
        return None


def read_answer(
    party: RelyingParty, credential: Mapping[str, Any], *, challenge: bytes, public_key: bytes, user_id: UUID
) -> int | None:
    """The counter of a passkey that has answered the challenge, for this site and person; else `None`."""
    try:
        parsed = parse_authentication_credential_json(dict(credential))
        answered = webauthn.verify_authentication_response(
            credential=parsed,
            expected_challenge=challenge,
            expected_rp_id=party.host,
            expected_origin=party.origin,
            credential_public_key=public_key,
            # Compared where it is stored: see `counts_on`.
            credential_current_sign_count=0,
        )
    except Exception:  # noqa: BLE001 - a door: parsers of JSON and CBOR over a stranger's bytes
        return None
    if parsed.response.user_handle not in (None, b"", user_id.bytes):
        return None
    return answered.new_sign_count


def counts_on(told: int, *, stored: int) -> bool:
    """Whether the counter moved on; one that does not is that of a copy. Passkeys without a counter always say 0."""
    return told > stored or told == stored == 0


def digest_of(password_hash: str) -> bytes:
    """Tells whether a password is still the same one."""
    return hashlib.sha256(password_hash.encode()).digest()


def is_same_password(digest: bytes, password_hash: str | None) -> bool:
    """Whether the password is still the one that was right when the challenge was made."""
    return password_hash is not None and hmac.compare_digest(digest, digest_of(password_hash))


def _described(known: Collection[bytes]) -> list[PublicKeyCredentialDescriptor]:
    return [PublicKeyCredentialDescriptor(id=credential_id) for credential_id in known]
