"""Password hashes: bcrypt over a keyed pre-hash, computed in a small pool (docs/decisions/0005)."""

import asyncio
import base64
import functools
import hashlib
import hmac
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import bcrypt
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from app.identity import crypt
from app.kit.errors import DomainError, Kind, Unavailable
from app.observability.process import give_way

Result = TypeVar("Result")

LENGTH_MIN, LENGTH_MAX = 8, 256
# A hash takes 0.3 s of one core at cost 12. One at a time, when nobody else wants the core: a storm of logins must not
# be felt by those who book.
THREADS = 1
# Whoever would wait for longer is told at once to come back.
WAIT_S_MAX = 10.0
# What a hash takes until one has been measured; the newest counts for a fifth.
HASH_S_GUESS, NEWEST_SHARE = 0.3, 0.2


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
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="bcrypt", initializer=give_way)
        self._waiting = 0
        self._hash_s = HASH_S_GUESS

    async def hash(self, password: str) -> str:
        """The hash to store. Raises `Unavailable` when too many wait."""
        salt = bcrypt.gensalt(self._cost)
        return await self._run(lambda: crypt.hashed(self._prepared(password), salt).decode())

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether `password` made `stored`; without one, `False` after the same time. Raises `Unavailable`."""
        known = (stored or _dummy_hash(self._cost)).encode()
        is_right = await self._run(lambda: hmac.compare_digest(crypt.hashed(self._prepared(password), known), known))
        return is_right and stored is not None

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _prepared(self, password: str) -> bytes:
        # bcrypt reads 72 bytes and stops at NUL; 64 characters of base64 carry all of a password of any length.
        return base64.b64encode(hmac.digest(self._pepper, password.encode(), hashlib.sha384))

    def check_wait(self) -> None:
        """Raises `Unavailable` when so many wait that one more would wait too long."""
        if self._waiting * self._hash_s / THREADS > WAIT_S_MAX:
            raise Unavailable("Too many people are logging in. Try again in a few seconds.")

    async def _run(self, work: Callable[[], Result]) -> Result:
        self.check_wait()
        self._waiting += 1
        try:
            result, seconds = await asyncio.get_running_loop().run_in_executor(self._pool, _timed, work)
        finally:
            self._waiting -= 1
        self._hash_s += (seconds - self._hash_s) * NEWEST_SHARE
        return result


def _timed(work: Callable[[], Result]) -> tuple[Result, float]:
    started = time.perf_counter()
    return work(), time.perf_counter() - started


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
