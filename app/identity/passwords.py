"""Password hashes: bcrypt over a keyed pre-hash, computed one at a time beside the process (docs/decisions/0005)."""

import asyncio
import base64
import functools
import hashlib
import hmac
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import bcrypt
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from app.identity.hasher import Hasher, HasherFailed
from app.kit.errors import DomainError, Kind, Unavailable

Result = TypeVar("Result")

LENGTH_MIN, LENGTH_MAX = 8, 256
# A hash takes 0.3 s of one core at cost 12. One at a time, when nobody else wants the core: a storm of logins must not
# be felt by those who book.
THREADS = 1
# Whoever would wait for longer is told at once to come back.
WAIT_S_MAX = 10.0
# So many passwords within a second are more than a core can hash: then they get only what nobody else wants. On a day
# that is merely full nobody would get in so.
STORM_PASSWORDS, STORM_S = 8, 1.0


class PasswordTooWeak(DomainError):
    """One of the passwords that everybody tries first."""

    code = "password_too_weak"
    kind = Kind.INVALID
    sentence = "This password is on every list of common passwords. Choose another one."


class Passwords:
    """Hashes and verifies. `pepper` is a key that is not in the database."""

    def __init__(self, *, pepper: bytes, cost: int) -> None:
        self._pepper = pepper
        self._cost = cost
        self._hasher_in_calm, self._hasher_in_storms = Hasher(), Hasher(entirely=True)
        # When the last ones came, let in or not.
        self._came: deque[float] = deque(maxlen=STORM_PASSWORDS)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="bcrypt")
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """The hash to store. Raises `Unavailable` when too many wait."""
        salt = bcrypt.gensalt(self._cost)
        return await self._run(lambda: self._hashed(password, salt).decode())

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether `password` made `stored`; without one, `False` after the same time. Raises `Unavailable`."""
        is_right = await self._run(lambda: self._is_right(password, stored or _dummy_hash(self._cost)))
        return is_right and stored is not None

    def close(self) -> None:
        """End the thread and its processes."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._hasher_in_calm.close()
        self._hasher_in_storms.close()

    def _is_right(self, password: str, stored: str) -> bool:
        known = stored.encode()
        return hmac.compare_digest(self._hashed(password, known), known)

    def _hashed(self, password: str, setting: bytes) -> bytes:
        # bcrypt reads 72 bytes and stops at NUL; 64 characters of base64 carry all of a password of any length.
        prepared = base64.b64encode(hmac.digest(self._pepper, password.encode(), hashlib.sha384))
        return self._hasher.hashed(prepared, setting)

    @property
    def _hasher(self) -> Hasher:
        is_full = len(self._came) == STORM_PASSWORDS
        is_storm = is_full and time.monotonic() - self._came[0] < STORM_S
        return self._hasher_in_storms if is_storm else self._hasher_in_calm

    def check_wait(self) -> None:
        """Raises `Unavailable` when so many wait that one more would wait too long."""
        if self._waiting * self._hasher.takes_s / THREADS > WAIT_S_MAX:
            self._came.append(time.monotonic())
            raise Unavailable("Too many people are logging in. Try again in a few seconds.")

    async def _run(self, work: Callable[[], Result]) -> Result:
        self.check_wait()
        self._came.append(time.monotonic())
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except HasherFailed as error:
            raise Unavailable from error
        finally:
            self._waiting -= 1


def check_strength(password: str, *, email: str) -> None:
    """Raises `PasswordTooWeak` for a common password, or one that is the e-mail. No rules of composition."""
    lowered = password.lower()
    if lowered in _common_passwords() or lowered == email.lower():
        raise PasswordTooWeak


@functools.cache
def _common_passwords() -> frozenset[str]:
    """The list of zxcvbn, about 30,000 of which are long enough to be tried here."""
    return frozenset(word for word in FREQUENCY_LISTS["passwords"] if len(word) >= LENGTH_MIN)


@functools.cache
def _dummy_hash(cost: int) -> str:
    """A hash that nobody's password made, so that an unknown e-mail costs what a wrong password costs."""
    return bcrypt.hashpw(b"nobody", bcrypt.gensalt(cost)).decode()
