"""What a code is worth at a moment, and how long somebody waits who guessed wrong."""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import pyotp

STEP_S = 30
# A phone's clock may be one step off (RFC 6238, section 5.2).
STEPS_OFF = 1
RECOVERY_CODES = 10
# 80 random bits cannot be guessed, so that a plain hash of them keeps the secret.
_RECOVERY_BYTES = 10
_TOTP_CODE = re.compile(r"\d{6}", flags=re.ASCII)
_RECOVERY_CODE = re.compile(r"[A-Z2-7]{16}")
# People type a code as they read it, in groups.
_BETWEEN_GROUPS = re.compile(r"[\s-]")
# Who mistypes is not kept waiting. After that twice as long each time: 110 guesses a day, of which each has three
# chances in a million. Only who knows the password gets here, so no stranger can make anybody wait.
FAILURES_FREE, WAIT_S_MAX = 5, 900


@dataclass(frozen=True, slots=True)
class Factor:
    """A confirmed app of a user, as it is stored."""

    clinic_id: int
    user_id: UUID
    sealed: bytes
    last_step: int
    failures: int
    failed_ago_s: float | None


@dataclass(frozen=True, slots=True)
class Step:
    """A code of the app, good for this step of 30 s."""

    number: int


@dataclass(frozen=True, slots=True)
class RecoveryCode:
    """One of the codes on paper; whether there is such a one only the database knows."""

    code_hash: bytes


Proof = Step | RecoveryCode


def read_code(text: str, *, secret: str, last_step: int, now: datetime) -> Proof | None:
    """What `text` proves, if it is a code of a step after `last_step`, or looks like a recovery code."""
    code = _BETWEEN_GROUPS.sub("", text).upper()
    if _RECOVERY_CODE.fullmatch(code):
        return RecoveryCode(hash_of(code))
    if not _TOTP_CODE.fullmatch(code):
        return None
    totp, present = pyotp.TOTP(secret, interval=STEP_S), int(now.timestamp()) // STEP_S
    fitting = [
        step
        for step in range(present - STEPS_OFF, present + STEPS_OFF + 1)
        if hmac.compare_digest(totp.generate_otp(step), code) and step > last_step
    ]
    return Step(fitting[0]) if fitting else None


def wait_s(factor: Factor) -> int:
    """For how many more seconds no code is looked at."""
    if factor.failures < FAILURES_FREE or factor.failed_ago_s is None:
        return 0
    # Beyond ten doublings it is the longest anyway.
    wait = min(WAIT_S_MAX, 1 << min(factor.failures - FAILURES_FREE, 10))
    return max(0, round(wait - factor.failed_ago_s + 0.5))


def fresh_secret() -> str:
    """160 bits (RFC 4226, section 4), in base32."""
    return pyotp.random_base32()


def app_address(secret: str, *, email: str) -> str:
    """The `otpauth://` address that authenticator apps read."""
    return pyotp.TOTP(secret, interval=STEP_S).provisioning_uri(name=email, issuer_name="Telemed")


def fresh_recovery_codes() -> list[str]:
    """Codes to keep on paper, in groups of four."""
    made = [base64.b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode() for _ in range(RECOVERY_CODES)]
    return ["-".join(code[place : place + 4] for place in range(0, len(code), 4)) for code in made]


def hash_of(recovery_code: str) -> bytes:
    """What is stored of a recovery code, however it is grouped."""
    return hashlib.sha256(_BETWEEN_GROUPS.sub("", recovery_code).upper().encode()).digest()
