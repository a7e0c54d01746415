"""UUID version 7 (RFC 9562, section 5.7): sorted by time, so that indexes grow at one end."""

import random
import secrets
import time
import uuid

_UNIX_MS_BITS = 48
_RANDOM_BITS = 74


def uuid7() -> uuid.UUID:
    """A fresh id: 48 bits of Unix time in ms, then 74 random bits."""
    return uuid.UUID(int=_number(secrets.randbits(_RANDOM_BITS)))


def uuids7(count: int) -> list[uuid.UUID]:
    """Fresh ids for a statement that writes up to `count` rows."""
    return [uuid7() for _ in range(count)]


def uuid7_text() -> str:
    """A fresh id as it is written, of a request: nobody gains by guessing it, and the kernel is not asked for it."""
    digits = f"{_number(random.getrandbits(_RANDOM_BITS)):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _number(chance: int) -> int:
    unix_ms = time.time_ns() // 1_000_000 & (1 << _UNIX_MS_BITS) - 1
    rand_a, rand_b = chance >> 62, chance & (1 << 62) - 1
    return unix_ms << 80 | 0x7 << 76 | rand_a << 64 | 0b10 << 62 | rand_b
