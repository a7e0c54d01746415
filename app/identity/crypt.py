"""bcrypt: the system's own where it has one, a sixth faster than the package's (docs/decisions/0024)."""

import ctypes
import functools
from collections.abc import Callable

import bcrypt

Bcrypt = Callable[[bytes, bytes], bytes]

# libxcrypt, by the name that it keeps for old programs, and by its own.
LIBRARIES = ("libcrypt.so.1", "libcrypt.so.2")
# sizeof(struct crypt_data), crypt(3)
_DATA_BYTES = 32_768
# The other prefixes of crypt(3) are other functions.
_PREFIX = b"$2b$"
# Of a cost that takes a millisecond.
_KNOWN = b"$2b$04$Kv/4tKzqOf1cfRhJ.sPqJ.F0ZfkIQyco7isE/hcOzriq1Hlm7oUvW"


def hashed(password: bytes, setting: bytes) -> bytes:
    """The bcrypt hash of up to 72 bytes without NUL; `setting` is a salt, or the hash to compare with.

    Holds no lock of the interpreter's. Raises `ValueError` for what is no bcrypt setting.
    """
    return _fastest()(password, setting)


@functools.cache
def _fastest() -> Bcrypt:
    for name in LIBRARIES:
        found = of_system(name)
        if found is not None and found(b"telemed", _KNOWN) == _KNOWN:
            return found
    return bcrypt.hashpw


def of_system(name: str) -> Bcrypt | None:
    """What computes it by crypt_rn(3) of this library; `None` where there is no such library or function."""
    try:
        crypt = ctypes.CDLL(name).crypt_rn
    except (OSError, AttributeError):
        return None
    crypt.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int]
    crypt.restype = ctypes.c_char_p

    def compute(password: bytes, setting: bytes) -> bytes:
        data = ctypes.create_string_buffer(_DATA_BYTES)
        answer = crypt(password, setting, data, _DATA_BYTES) if setting.startswith(_PREFIX) else None
        # What it refuses, the package refuses with a reason.
        return bytes(answer) if answer is not None else bcrypt.hashpw(password, setting)

    return compute
