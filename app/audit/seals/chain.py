"""Checking a clinic's seals one after the other, wherever they and their rows come from. Pure; holds one seal."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from app.audit.seals.rules import NO_SEAL, Entry, Position, Seal, instant, root_of
from app.kit.signing import PublicKeys

# No seal of ours is over more; of what somebody has put between, so much is read.
ROWS_MAX = 10_000

CHANGED, MISSING, INSERTED, REORDERED = "changed", "missing", "inserted", "reordered"
TRUNCATED, CHAIN_BROKEN, BAD_SIGNATURE, UNKNOWN_KEY = "truncated", "chain broken", "bad signature", "unknown key"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a seal, or with the rows that it is over."""

    clinic_id: int
    number: int
    kind: str
    detail: str

    def __str__(self) -> str:
        return f"clinic {self.clinic_id}, seal {self.number}: {self.kind}: {self.detail}"


class Chain:
    """What has been seen of a clinic's chain. `checkpoints` are hashes of seals that it must contain, by number."""

    def __init__(self, clinic_id: int, keys: PublicKeys, checkpoints: Mapping[int, bytes]) -> None:
        self.clinic_id = clinic_id
        self.seals = self.rows = self.dropped = 0
        self.newest: Seal | None = None
        self._keys = keys
        self._awaited = dict(checkpoints)

    def after(self, seal: Seal) -> Position | None:
        """Where the rows of `seal`, the next one, begin: after that position. `None`: wherever rows begin."""
        before = self.newest
        if before is not None and seal.number == before.number + 1:
            return before.last
        # The seals between are gone, which is told; their rows are not this one's.
        return None if seal.number == 1 else _just_before(seal.first)

    def dropped_before(self, newest: Seal | None) -> int | None:
        """Before which moment rows may be gone, as the chain's newest seal says, if it is signed."""
        return newest.dropped_before_us if newest is not None and not self._signature(newest) else None

    def check(self, seal: Seal, entries: Sequence[Entry], *, dropped_before_us: int | None = None) -> list[Finding]:
        """What is wrong with the next seal and its rows, of which there are `entries`."""
        found = [*self._signature(seal), *self._place(seal), *self._checkpoint(seal)]
        self.seals += 1
        if not entries and seal.rows and dropped_before_us is not None and seal.last[0] < dropped_before_us:
            self.dropped += seal.rows
        else:
            self.rows += len(entries)
            found += self._rows(seal, entries)
        self.newest = seal
        return found

    def end(self) -> list[Finding]:
        """What is wrong when there is no further seal."""
        reached = 0 if self.newest is None else self.newest.number
        return [
            self._finding(number, TRUNCATED, f"there is a checkpoint of it, and the chain ends with {reached}")
            for number in sorted(self._awaited)
        ]

    def _signature(self, seal: Seal) -> list[Finding]:
        if not self._keys.knows(seal.key_id):
            return [self._finding(seal.number, UNKNOWN_KEY, f"name the public key {seal.key_id!r} with --key")]
        if not self._keys.is_signed(seal.key_id, seal.text, seal.signature):
            return [self._finding(seal.number, BAD_SIGNATURE, "the seal is not what was signed")]
        return []

    def _place(self, seal: Seal) -> list[Finding]:
        expected = 1 if self.newest is None else self.newest.number + 1
        previous = NO_SEAL if self.newest is None else self.newest.hash
        if seal.number != expected:
            gone = f"{expected}" if seal.number == expected + 1 else f"{expected} to {seal.number - 1}"
            return [self._finding(seal.number, CHAIN_BROKEN, f"seal {gone} before it is gone")]
        if seal.previous != previous:
            return [self._finding(seal.number, CHAIN_BROKEN, "it does not follow the seal before it")]
        return []

    def _checkpoint(self, seal: Seal) -> list[Finding]:
        awaited = self._awaited.pop(seal.number, seal.hash)
        return [] if awaited == seal.hash else [self._finding(seal.number, CHAIN_BROKEN, "its checkpoint differs")]

    def _rows(self, seal: Seal, entries: Sequence[Entry]) -> list[Finding]:
        positions = [entry.position for entry in entries]
        where = f"of {seal.rows} rows up to {instant(seal.last[0]).isoformat()} {seal.last_id}"
        if len(entries) < seal.rows:
            return [self._finding(seal.number, MISSING, f"{seal.rows - len(entries)} {where}")]
        if len(entries) > seal.rows:
            return [self._finding(seal.number, INSERTED, f"at least {len(entries) - seal.rows} beside {where[3:]}")]
        if positions != sorted(positions):
            return [self._finding(seal.number, REORDERED, where)]
        if root_of([entry.leaf for entry in entries]) != seal.root:
            return [self._finding(seal.number, CHANGED, f"at least one {where}")]
        if entries and (positions[0], positions[-1]) != (seal.first, seal.last):
            return [self._finding(seal.number, CHANGED, f"they do not begin and end as the seal says: {where}")]
        return []

    def _finding(self, number: int, kind: str, detail: str) -> Finding:
        return Finding(self.clinic_id, number, kind, detail)


def rows_read(seal: Seal) -> int:
    """How many rows to read for a seal: one more than it is over, to see what was inserted."""
    return min(max(seal.rows, 0), ROWS_MAX) + 1


def by_clinic(checkpoints: Iterable[Seal]) -> dict[int, dict[int, bytes]]:
    """Hashes by clinic and number."""
    found: dict[int, dict[int, bytes]] = {}
    for seal in checkpoints:
        found.setdefault(seal.clinic_id, {})[seal.number] = seal.hash
    return found


def _just_before(position: Position) -> Position:
    us, id = position
    number = UUID(id).int
    return (us, str(UUID(int=number - 1))) if number else (us - 1, str(UUID(int=(1 << 128) - 1)))
