"""What a code is worth at a moment, and how long somebody waits who guessed wrong."""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import pyotp

from app.identity.recovery import rules as recovery
from app.identity.recovery.rules import RecoveryCode

STEP_S = 30
# A phone's clock may be one step off (RFC 6238, section 5.2).
STEPS_OFF = 1
_TOTP_CODE = re.compile(r"\d{6}", flags=re.ASCII)
# Who mistypes is not kept waiting. After that twice as long each time: 110 guesses a day, of which each has three
# chances in a million. Only who knows the password gets here, so no stranger can make anybody wait.
FAILURES_FREE, WAIT_S_MAX = 5, 900


@dataclass(frozen=True, slots=True)
class Factor:
    """What a user must prove besides the password: a code of an app as it is stored, or, without one, of paper."""

    clinic_id: int
    user_id: UUID
    sealed: bytes | None
    last_step: int
    failures: int
    failed_ago_s: float | None


@dataclass(frozen=True, slots=True)
class Step:
    """A code of the app, good for this step of 30 s."""

    number: int

    @property
    def values(self) -> Mapping[str, object]:
        """What the statement that spends it binds."""
        return {"step": self.number}


Code = Step | RecoveryCode


def read_code(text: str, *, secret: str | None, last_step: int, now: datetime) -> Code | None:
    """What `text` proves, if it is a code of a step after `last_step`, or looks like a recovery code."""
    if recovery_code := recovery.read_code(text):
        return recovery_code
    code = recovery.ungrouped(text)
    if secret is None or not _TOTP_CODE.fullmatch(code):
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
