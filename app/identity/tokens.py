"""Access tokens (JWT, RFC 9068 and RFC 8725); refresh tokens and those of links (opaque, 256 bit)."""

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

import jwt
from jwt.algorithms import HMACAlgorithm

from app.identity.rules import ROLES, Principal
from app.kit import keys
from app.kit.errors import Unauthenticated

ISSUER = AUDIENCE = "telemed"
# RFC 9068, section 2.1: an access token says so, and nothing else can be taken for one.
TYPE = "at+jwt"
# Ours have about 500 bytes; parsing something huge would be work for a stranger.
TOKEN_BYTES_MAX = 4096
SECRET_BYTES = 32
# Two servers whose clocks differ a little must not refuse each other's fresh tokens.
CLOCK_SKEW_S = 60
# A session sends its token again and again: 10 MB remember those in use.
KNOWN_MAX = 20_000
_CLINIC_BYTES, _KEY_ID_BYTES = 4, 6
# A claim of those only who must set a second factor up before anything else.
_FACTOR, _TO_ENROL = "mfa", "enrol"
_REQUIRED = ["iss", "aud", "sub", "iat", "exp", "jti", "clinic", "role", "sid", "ver"]


@dataclass(frozen=True, slots=True)
class AccessTokens:
    """Makes access tokens with one key and one algorithm; reads those of the `accepted` keys as well."""

    secret_key: str
    algorithm: str
    lifetime: timedelta
    accepted: tuple[str, ...] = ()
    # By the id that stands in a token's header.
    _keys: dict[str, jwt.PyJWK] = field(default_factory=dict)
    # By digest, the last one that was read at the end: who it was made for, and until when. What ends a token earlier
    # is asked elsewhere, each time.
    _known: OrderedDict[bytes, tuple[Principal, float]] = field(default_factory=OrderedDict)

    _own_key_id: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_own_key_id", _key_id(self.secret_key))
        self._keys.update((_key_id(secret), self._jwk(secret)) for secret in (*self.accepted, self.secret_key))

    def issue(self, principal: Principal, *, now: datetime) -> str:
        """A token that says who `principal` is until `now + lifetime`."""
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(principal.user_id),
            "iat": now,
            "exp": now + self.lifetime,
            "jti": secrets.token_urlsafe(12),
            "clinic": principal.clinic_id,
            "role": principal.role,
            "sid": str(principal.session_id),
            "ver": principal.token_version,
            **({_FACTOR: _TO_ENROL} if principal.needs_factor else {}),
        }
        headers = {"typ": TYPE, "kid": self._own_key_id}
        return jwt.encode(claims, self._keys[self._own_key_id], algorithm=self.algorithm, headers=headers)

    def read(self, token: str) -> Principal:
        """The principal of a valid token. Raises `Unauthenticated` for any other."""
        if len(token) > TOKEN_BYTES_MAX:
            raise Unauthenticated
        digest = hashlib.blake2b(token.encode(), digest_size=32).digest()
        known = self._known.get(digest)
        if known is None:
            known = self._known[digest] = self._verified(token)
            if len(self._known) > KNOWN_MAX:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(digest)
        principal, expires_at = known
        if expires_at <= time.time():
            raise Unauthenticated
        return principal

    def _verified(self, token: str) -> tuple[Principal, float]:
        try:
            key_id = self._own_key_id
            if len(self._keys) > 1:
                # One without an id was made by a release before this one.
                key_id = jwt.get_unverified_header(token).get("kid", key_id)
            decoded = jwt.decode_complete(
                token,
                self._keys[key_id],
                algorithms=[self.algorithm],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={"require": _REQUIRED, "strict_aud": True, "verify_iat": False},
            )
            if decoded["header"].get("kid", key_id) != key_id:
                raise Unauthenticated
            return _principal(decoded["header"], decoded["payload"]), float(decoded["payload"]["exp"])
        except (jwt.PyJWTError, KeyError, ValueError, TypeError) as error:
            raise Unauthenticated from error

    def _jwk(self, secret: str) -> jwt.PyJWK:
        spelt = base64.urlsafe_b64encode(secret.encode()).decode()
        key = jwt.PyJWK.from_dict({"kty": "oct", "k": spelt, "alg": self.algorithm})
        assert isinstance(key.Algorithm, HMACAlgorithm), "the settings know no other"
        key.Algorithm = _Hmac(key.Algorithm.hash_alg)
        return key


class _Hmac(HMACAlgorithm):
    """With a key that is taken as it is: PyJWT looks at it for each token, whether it is a certificate by mistake."""

    def prepare_key(self, key: str | bytes) -> bytes:
        return key.encode() if isinstance(key, str) else key

    def check_key_length(self, key: bytes) -> None:  # noqa: ARG002 - as PyJWT calls it
        # 32 bytes of entropy are 256 bits of security, also where HS512 would like longer keys.
        return


def _key_id(secret: str) -> str:
    """Tells keys apart and nothing about them."""
    return keys.derive(secret, "key id")[:_KEY_ID_BYTES].hex()


def _principal(header: dict[str, Any], claims: dict[str, Any]) -> Principal:
    clinic_id, version, session_id = claims["clinic"], claims["ver"], claims["sid"]
    if header.get("typ") != TYPE or type(clinic_id) is not int or type(version) is not int:
        raise ValueError("another kind of token")
    if not isinstance(session_id, str):
        # `UUID(5)` is an AttributeError, which would be a bug of ours.
        raise TypeError("no session")
    if claims["iat"] > time.time() + CLOCK_SKEW_S:
        raise ValueError("made in the future")
    if claims["role"] not in ROLES:
        raise ValueError("no such role")
    if claims.get(_FACTOR, _TO_ENROL) != _TO_ENROL:
        raise ValueError("no such limit")
    return Principal(clinic_id, UUID(claims["sub"]), claims["role"], UUID(session_id), version, _FACTOR in claims)


@dataclass(frozen=True, slots=True)
class OpaqueToken:
    """The clinic, so that one shard is asked, and a secret."""

    clinic_id: int
    secret: bytes

    @classmethod
    def fresh(cls, clinic_id: int) -> Self:
        """One that nobody has."""
        return cls(clinic_id, secrets.token_bytes(SECRET_BYTES))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The token that `text` spells, or `None`."""
        try:
            raw = base64.b64decode(text, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        if len(raw) != _CLINIC_BYTES + SECRET_BYTES:
            return None
        clinic_id = int.from_bytes(raw[:_CLINIC_BYTES], signed=True)
        return cls(clinic_id, raw[_CLINIC_BYTES:])

    def __str__(self) -> str:
        raw = self.clinic_id.to_bytes(_CLINIC_BYTES, signed=True) + self.secret
        return base64.urlsafe_b64encode(raw).decode()

    @property
    def hash(self) -> bytes:
        """What is stored."""
        return hashlib.sha256(self.secret).digest()


class RefreshToken(OpaqueToken):
    """Goes on with a session, once."""

    __slots__ = ()

    def successor(self, key: bytes) -> "RefreshToken":
        """The next token: always the same one, so that a rotation whose answer was lost can be repeated.

        Only the holder of `key` can compute it; only its hash is stored.
        """
        return RefreshToken(self.clinic_id, hmac.digest(key, self.secret, hashlib.sha256))


class LoginTicket(OpaqueToken):
    """Stands for a password that was right a moment ago; its hash is the challenge that a passkey answers."""

    __slots__ = ()


class LinkToken(OpaqueToken):
    """What proves that its holder has read a mail, once."""

    __slots__ = ()
