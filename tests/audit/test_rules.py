"""What is hashed and what is signed of the audit log, to the byte."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.audit.seals.rules import (
    EPOCH,
    KEY,
    NO_SEAL,
    START,
    Entry,
    Seal,
    instant,
    microseconds,
    of_one_month,
    root_of,
    sealed,
)
from app.kit.signing import PublicKeys, Signer

SIGNER = Signer(b"s" * 32)
JANUARY = datetime(2030, 1, 31, 12, tzinfo=UTC)
SECOND_US = 1_000_000
CHANGES = {
    "clinic_id": 2, "id": "ib", "occurred_us": 6, "actor_id": None, "actor_role": "admin", "action": "x",
    "entity_type": "slot", "entity_id": "", "outcome": "denied", "request_id": "r2", "details": "{} ",
    "subject_id": "s",
}  # fmt: skip


def entry(number: int = 1, **changes: object) -> Entry:
    values: dict[str, object] = {
        "clinic_id": 1, "id": f"i{number}", "occurred_us": microseconds(JANUARY) + number, "actor_id": "a",
        "actor_role": "doctor", "action": "consultation.read", "entity_type": "consultation", "entity_id": "e",
        "outcome": "success", "request_id": "r", "details": "{}", "subject_id": None,
    }  # fmt: skip
    return Entry(**{**values, **changes})  # type: ignore[arg-type]


def seal_over(entries: list[Entry], after: Seal | None = None, *, dropped_us: int | None = None) -> Seal:
    return sealed(SIGNER, entries, clinic_id=1, after=after, now_us=99, dropped_us=dropped_us)


def test_row_is_hashed_with_the_length_before_each_value() -> None:
    row = entry(occurred_us=5, details='{"ü": 1}')
    written = (
        b"\x001:12:i11:51:a6:doctor17:consultation.read12:consultation1:e7:success1:r9:" + '{"ü": 1}'.encode() + b"-"
    )
    assert row.leaf == hashlib.sha256(written).digest()
    assert row.position == (5, "i1")


@pytest.mark.parametrize("name", CHANGES)
def test_any_other_value_is_another_hash(name: str) -> None:
    assert entry(**{name: CHANGES[name]}).leaf != entry().leaf


def merkle(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + merkle(leaves[:k]) + merkle(leaves[k:])).digest()


@pytest.mark.parametrize("count", [*range(20), 31, 32, 33, 100])
def test_root_is_that_of_the_rfc(count: int) -> None:
    leaves = [hashlib.sha256(bytes([number])).digest() for number in range(count)]
    assert root_of(leaves) == merkle(leaves)


def test_first_seal_is_over_its_rows() -> None:
    rows = [entry(number) for number in range(3)]
    made = seal_over(rows, dropped_us=7)
    start = microseconds(JANUARY)
    assert made == Seal(
        clinic_id=1, number=1, rows=3, first_us=start, first_id="i0", last_us=start + 2, last_id="i2",
        root=merkle([row.leaf for row in rows]), previous=bytes(32), sealed_us=99, dropped_before_us=7,
        key_id=SIGNER.key_id, signature=made.signature,
    )  # fmt: skip
    assert (made.first, made.last) == ((start, "i0"), (start + 2, "i2"))
    assert bytes(32) == NO_SEAL


def test_what_is_signed_stands_in_lines() -> None:
    made = seal_over([entry(0)])
    start = microseconds(JANUARY)
    lines = [
        "telemed audit seal 1", "clinic 1", "number 1", "rows 1", f"first {start} i0", f"last {start} i0",
        f"root {made.root.hex()}", f"previous {'00' * 32}", "sealed 99", "dropped before None", f"key {SIGNER.key_id}",
    ]  # fmt: skip
    assert made.text == "\n".join(lines).encode()
    assert made.hash == hashlib.sha256(made.text).digest()
    keys = PublicKeys.of([SIGNER.public])
    assert keys.is_signed(made.key_id, made.text, made.signature)
    assert not keys.is_signed(made.key_id, replace(made, rows=2).text, made.signature)


def test_next_seal_names_the_one_before() -> None:
    first = seal_over([entry(0)])
    second = seal_over([entry(1), entry(2)], first)
    assert (second.number, second.previous, second.rows) == (2, first.hash, 2)
    assert second.first == entry(1).position


def test_seal_without_rows_stays_where_the_last_one_ended() -> None:
    first = seal_over([entry(0), entry(1)])
    second = seal_over([], first, dropped_us=5)
    assert (second.number, second.rows, second.dropped_before_us) == (2, 0, 5)
    assert second.first == second.last == first.last
    assert second.root == hashlib.sha256(b"").digest()


def test_seal_ends_with_its_month() -> None:
    february = microseconds(datetime(2030, 2, 1, tzinfo=UTC))
    rows = [entry(1), entry(2, occurred_us=february - 1), entry(3, occurred_us=february)]
    assert of_one_month(rows) == rows[:2]
    assert of_one_month(rows[2:]) == rows[2:]
    a_year_on = [entry(1), entry(2, occurred_us=microseconds(JANUARY.replace(year=2031)))]
    assert of_one_month(a_year_on) == a_year_on[:1]


@pytest.mark.parametrize("us", [0, 1, -1, 1_893_456_000 * SECOND_US + 999_999])
def test_moments_are_exact_to_the_microsecond(us: int) -> None:
    assert microseconds(instant(us)) == us
    assert instant(us) == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
    assert datetime(1970, 1, 1, tzinfo=UTC) == EPOCH


def test_moment_beyond_the_calendar_is_its_end() -> None:
    assert instant(10**20) == datetime.max.replace(tzinfo=UTC)
    assert instant(-(10**20)) == datetime.min.replace(tzinfo=UTC)


def test_nothing_is_before_the_start() -> None:
    assert START == (0, "00000000-0000-0000-0000-000000000000")


def test_key_is_made_for_the_same_purpose_in_every_release() -> None:
    """Under another word every seal would be one of a stranger."""
    assert KEY == "audit seals"
