"""What a recovery code looks like."""

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

CODES = 10
# 80 random bits cannot be guessed, so that a plain hash of them keeps the secret.
_BYTES = 10
_CODE = re.compile(r"[A-Z2-7]{16}")
# People type a code as they read it, in groups.
_BETWEEN_GROUPS = re.compile(r"[\s-]")


@dataclass(frozen=True, slots=True)
class RecoveryCode:
    """One of the codes on paper; whether there is such a one only the database knows."""

    code_hash: bytes

    @property
    def values(self) -> Mapping[str, object]:
        """What the statement that spends it binds."""
        return {"code_hash": self.code_hash}


def fresh_codes() -> list[str]:
    """Codes to keep on paper, in groups of four."""
    made = [base64.b32encode(secrets.token_bytes(_BYTES)).decode() for _ in range(CODES)]
    return ["-".join(code[place : place + 4] for place in range(0, len(code), 4)) for code in made]


def read_code(text: str) -> RecoveryCode | None:
    """The recovery code that `text` spells, however it is grouped."""
    code = ungrouped(text)
    return RecoveryCode(hash_of(code)) if _CODE.fullmatch(code) else None


def hash_of(code: str) -> bytes:
    """What is stored of a recovery code."""
    return hashlib.sha256(ungrouped(code).encode()).digest()


def ungrouped(text: str) -> str:
    """A code as one word, in capitals."""
    return _BETWEEN_GROUPS.sub("", text).upper()
