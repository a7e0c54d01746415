"""What is hashed and what is signed, to the byte: the same from every PostgreSQL, and from a file. Pure."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from operator import attrgetter

from app.kit.signing import Signer

# The purpose of the key: whoever knows PEPPER can make it.
KEY = "audit seals"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Of the first seal, which has none before it.
NO_SEAL = bytes(32)
_LEAF, _NODE = b"\x00", b"\x01"
_NULL = b"-"
_MICROSECOND = timedelta(microseconds=1)

# A moment in microseconds since 1970 and an id, as it is written: rows of a clinic in their order.
Position = tuple[int, str]
START: Position = (0, "00000000-0000-0000-0000-000000000000")


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the audit log, as it is hashed; `details` is what PostgreSQL writes for the jsonb."""

    clinic_id: int
    id: str
    occurred_us: int
    actor_id: str | None
    actor_role: str | None
    action: str
    entity_type: str
    entity_id: str | None
    outcome: str
    request_id: str
    details: str
    subject_id: str | None

    @property
    def position(self) -> Position:
        return (self.occurred_us, self.id)

    @property
    def leaf(self) -> bytes:
        """Each value with its length before it, so that no two rows are written alike."""
        parts = [_NULL if value is None else _sized(str(value)) for value in _values(self)]
        return hashlib.sha256(_LEAF + b"".join(parts)).digest()


# `astuple` copies each value, which took half the time of sealing.
_values = attrgetter(*(field.name for field in fields(Entry)))


@dataclass(frozen=True, slots=True)
class Seal:
    """A signed statement about the rows after the seal before, up to `last`."""

    clinic_id: int
    number: int
    rows: int
    first_us: int
    first_id: str
    last_us: int
    last_id: str
    root: bytes
    previous: bytes
    sealed_us: int
    # Rows before it may be gone: the owner has dropped their months.
    dropped_before_us: int | None
    key_id: str
    signature: bytes

    @property
    def text(self) -> bytes:
        """What is signed."""
        lines = (
            "telemed audit seal 1",
            f"clinic {self.clinic_id}",
            f"number {self.number}",
            f"rows {self.rows}",
            f"first {self.first_us} {self.first_id}",
            f"last {self.last_us} {self.last_id}",
            f"root {self.root.hex()}",
            f"previous {self.previous.hex()}",
            f"sealed {self.sealed_us}",
            f"dropped before {self.dropped_before_us}",
            f"key {self.key_id}",
        )
        return "\n".join(lines).encode()

    @property
    def hash(self) -> bytes:
        return hashlib.sha256(self.text).digest()

    @property
    def first(self) -> Position:
        return (self.first_us, self.first_id)

    @property
    def last(self) -> Position:
        return (self.last_us, self.last_id)


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The Merkle tree hash (RFC 6962, section 2.1) of hashed leaves."""
    if not leaves:
        return hashlib.sha256().digest()
    level = list(leaves)
    while len(level) > 1:
        pairs = [hashlib.sha256(_NODE + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        # Whoever has no neighbour goes up as it is: the same tree as the RFC's, from below.
        level = pairs + level[len(pairs) * 2 :]
    return level[0]


def sealed(
    signer: Signer, entries: Sequence[Entry], *, clinic_id: int, after: Seal | None, now_us: int, dropped_us: int | None
) -> Seal:
    """The seal that follows `after`; without rows it only says what was dropped, and stays where the last one ended."""
    assert entries or after is not None, "the first seal is over rows"
    first, last = (entries[0].position, entries[-1].position) if entries else (_last(after), _last(after))
    unsigned = Seal(
        clinic_id=clinic_id,
        number=1 if after is None else after.number + 1,
        rows=len(entries),
        first_us=first[0],
        first_id=first[1],
        last_us=last[0],
        last_id=last[1],
        root=root_of([entry.leaf for entry in entries]),
        previous=NO_SEAL if after is None else after.hash,
        sealed_us=now_us,
        dropped_before_us=dropped_us,
        key_id=signer.key_id,
        signature=b"",
    )
    values = {name: getattr(unsigned, name) for name in Seal.__dataclass_fields__}
    return Seal(**{**values, "signature": signer.sign(unsigned.text)})


def of_one_month(entries: Sequence[Entry]) -> Sequence[Entry]:
    """The first ones, up to the end of their month: a seal goes with its month, or stays with it."""
    months = [_month(entry) for entry in entries]
    return [entry for entry, month in zip(entries, months, strict=True) if month == months[0]]


def microseconds(moment: datetime) -> int:
    """Since 1970, exactly."""
    return (moment - EPOCH) // _MICROSECOND


def instant(us: int) -> datetime:
    """The moment, or the last that Python knows: what is beyond was not written by us."""
    try:
        return EPOCH + us * _MICROSECOND
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if us > 0 else datetime.min.replace(tzinfo=UTC)


def _month(entry: Entry) -> tuple[int, int]:
    moment = instant(entry.position[0])
    return moment.year, moment.month


def _last(seal: Seal | None) -> Position:
    return START if seal is None else seal.last


def _sized(text: str) -> bytes:
    value = text.encode()
    return b"%d:%b" % (len(value), value)
