"""Rules 3 to 7 and 10 of the contract's *Booking*, for every command that takes a key."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from app.db.database import Database
from app.db.errors import ConstraintViolation, LockTimeout
from app.idempotency import sql
from app.idempotency.errors import IdempotencyInFlight, IdempotencyKeyExpired, IdempotencyKeyReused
from app.idempotency.rules import Key
from app.kit.errors import DomainError, Unauthenticated

Result = TypeVar("Result")

# The second round is for a key whose row expired and was removed between two statements.
ROUNDS_MAX = 2
# PostgreSQL names the relation whose tuple it waits for.
KEYS_TABLE = '"idempotency_keys'


@dataclass(frozen=True, slots=True)
class Attempt(Generic[Result]):
    """What the one statement did: did it get the key, and did it get what it wanted?"""

    has_claimed: bool
    result: Result | None


@dataclass(frozen=True, slots=True)
class Once(Generic[Result]):
    """The answer to a keyed command; `is_replay` when it was given before."""

    result: Result
    is_replay: bool


class Command(Protocol[Result]):
    """What a room must tell so that its command can be retried."""

    @property
    def refusing(self) -> frozenset[str]:
        """The constraints by which the database refuses it. Any other that says no is a bug, and sticks to no key."""

    async def attempt(self) -> Attempt[Result]:
        """Claim the key and do everything, in one statement. May raise `ConstraintViolation`."""

    async def reason(self, constraint: str | None) -> DomainError:
        """Why nothing was done; `constraint` is the one that said no, if one did."""

    async def recorded(self, outcome: dict[str, Any] | None) -> Result | None:
        """The first answer, out of the record that the key made; `None` if it made none."""

    def made_at(self, result: Result) -> datetime | None:
        """When the record was made; `None` if only the key's row keeps it from being made twice."""

    def location(self, result: Result) -> str | None:
        """The address of the record."""


async def run_once(db: Database, command: Command[Result], key: Key) -> Once[Result]:
    """Execute `command` under `key` exactly once, or give the first answer again.

    1. The command's own statement claims the key and does the work: one round trip, and the only one if all is well.
    2. It got the key but not its wish: find the reason, write it under the key, tell it. It sticks.
    3. A constraint said no: the statement left nothing, not even the key. Claim it together with the reason, unless
       somebody did something under it in the meantime: then as in 4.
    4. The key was used before: tell what was told then.
    """
    for _ in range(ROUNDS_MAX):
        attempt = await _attempt(db, command, key)
        if attempt.result is not None:
            return Once(attempt.result, is_replay=False)
        if attempt.has_claimed:
            await _refuse(db, command, key)
        used = await db.one(sql.USED_KEY, **_scope(key))
        if used is not None:
            return Once(await _first_answer(db, command, key, used), is_replay=True)
    # No key, although nobody had it: the statement found no active user of the right role behind the token.
    raise Unauthenticated


async def is_used(db: Database, key: Key) -> bool:
    """Whether something was answered under this key before."""
    return await db.one(sql.USED_KEY, **_scope(key)) is not None


async def _attempt(db: Database, command: Command[Result], key: Key) -> Attempt[Result]:
    """Steps 1 and 3. Raises the refusal unless somebody else answered under the key in the meantime."""
    try:
        return await command.attempt()
    except ConstraintViolation as violation:
        if violation.constraint not in command.refusing:
            raise
        refusal = await command.reason(violation.constraint)
        if isinstance(refusal, IdempotencyKeyExpired) and await is_used(db, key):
            # Not of old: while the reason was looked for, the key, free again, made a record for somebody else.
            return Attempt(has_claimed=False, result=None)
        _raise_if_expired(refusal)
        told = {**_scope(key), "fingerprint": key.fingerprint, "refusal": _told(refusal)}
        if await db.one(sql.CLAIM_WITH_REFUSAL, **told) is not None:
            raise refusal from violation
        return Attempt(has_claimed=False, result=None)
    except LockTimeout as timeout:
        if KEYS_TABLE in timeout.where:
            raise IdempotencyInFlight from timeout
        raise


async def _refuse(db: Database, command: Command[Result], key: Key) -> None:
    """Step 2. Raises the refusal unless somebody else told one under the key in the meantime."""
    refusal = await command.reason(None)
    _raise_if_expired(refusal)
    if await db.one(sql.SETTLE_REFUSAL, **_scope(key), refusal=_told(refusal)) is not None:
        raise refusal


async def _first_answer(db: Database, command: Command[Result], key: Key, used: sql.UsedKey) -> Result:
    if used.fingerprint != key.fingerprint:
        raise IdempotencyKeyReused
    result = await command.recorded(used.outcome)
    if used.is_expired or _is_older(command, result, than=used.created_at):
        raise IdempotencyKeyExpired(location=command.location(result) if result is not None else None)
    if result is not None:
        return result
    refusal = _refusal_from(used.outcome or await _settled(db, command, key))
    refusal.is_replay = True
    raise refusal


async def _settled(db: Database, command: Command[Result], key: Key) -> dict[str, Any]:
    """The refusal of a key whose first request has yet to tell one, or died before it could: the first to tell wins."""
    await _refuse(db, command, key)
    used = await db.one(sql.USED_KEY, **_scope(key))
    if used is None or used.outcome is None:
        raise IdempotencyInFlight
    return used.outcome


def _is_older(command: Command[Result], result: Result | None, *, than: datetime) -> bool:
    """Whether the record was made before this row: under the same key, by a request whose own row is gone."""
    made_at = command.made_at(result) if result is not None else None
    return made_at is not None and made_at < than


def _raise_if_expired(refusal: DomainError) -> None:
    """The record tells it each time, with its address: written under the key it would keep the row for ever."""
    if isinstance(refusal, IdempotencyKeyExpired):
        raise refusal


def _told(refusal: DomainError) -> dict[str, str | None]:
    return {"code": refusal.code, "detail": refusal.detail, "location": refusal.location}


def _refusal_from(outcome: dict[str, Any]) -> DomainError:
    refusal = DomainError.by_code[outcome["code"]]
    return refusal(outcome["detail"], location=outcome["location"])


def _scope(key: Key) -> dict[str, object]:
    return {"clinic_id": key.clinic_id, "user_id": key.user_id, "operation": key.operation, "key": key.value}
