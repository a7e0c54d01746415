"""How long somebody waits who has guessed wrong, and what is counted together."""

import itertools
from datetime import timedelta

import pytest

from app.identity.attempts.rules import FORGOTTEN_AFTER, KNOWN_FOR, SLOWDOWNS, buckets_of, wait_s

KEY = b"k" * 32
AMARA = {"clinic_id": 1, "email_normalized": "amara@clinic.test", "network": "192.0.2.1"}


@pytest.mark.parametrize(
    ("kind", "free", "waits", "longest_s"),
    [
        ("pair", 5, [30, 60, 120, 240, 480, 960, 1920, 3600, 3600], 3600),
        ("account", 5, [180, 360, 720, 900, 900], 900),
        ("network", 100, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300], 300),
    ],
)
def test_each_wrong_password_doubles_the_wait_after_the_free_ones(
    kind: str, free: int, waits: list[int], longest_s: int
) -> None:
    assert [wait_s(kind, failures) for failures in range(free)] == [0] * free
    assert [wait_s(kind, free + more) for more in range(len(waits))] == waits
    assert wait_s(kind, free + 10_000) == longest_s


def test_at_most_ten_guesses_at_an_account_in_a_quarter_of_an_hour() -> None:
    elapsed, guesses = 0, 0
    while elapsed <= 15 * 60:
        guesses += 1
        elapsed += wait_s("pair", guesses)
    assert guesses <= 10


def test_owner_comes_between_the_guesses_of_a_stranger() -> None:
    assert SLOWDOWNS["account"].longest_s < SLOWDOWNS["pair"].longest_s


def test_failures_are_forgotten_after_a_day_and_networks_known_for_90() -> None:
    assert (timedelta(days=1), timedelta(days=90)) == (FORGOTTEN_AFTER, KNOWN_FOR)


def test_buckets_hold_what_their_kind_says() -> None:
    changes = {"email_normalized": "dora@clinic.test", "network": "192.0.2.2", "clinic_id": 2}
    depends = {"pair": {*changes}, "account": {"clinic_id", "email_normalized"}, "network": {"clinic_id", "network"}}
    mine = buckets_of(KEY, **AMARA)  # type: ignore[arg-type]
    assert mine.keys() == depends.keys()
    for name, value in changes.items():
        other = buckets_of(KEY, **{**AMARA, name: value})  # type: ignore[arg-type]
        assert {kind for kind in mine if mine[kind] != other[kind]} == {
            k for k, names in depends.items() if name in names
        }


def test_buckets_are_16_bytes_that_need_the_key() -> None:
    mine = buckets_of(KEY, **AMARA)  # type: ignore[arg-type]
    other = buckets_of(b"another key", **AMARA)  # type: ignore[arg-type]
    assert {len(bucket) for bucket in mine.values()} == {16}
    assert not set(mine.values()) & set(other.values())


def test_counting_goes_on_through_an_update() -> None:
    """A release that made other buckets would give everybody their guesses anew."""
    mine = buckets_of(KEY, **AMARA)  # type: ignore[arg-type]
    assert {kind: bucket.hex() for kind, bucket in mine.items()} == {
        "pair": "cf2a34511f98a29914cce7654b18ecc7",
        "account": "a6d5a8155c4f223ad6679e0a8acee90f",
        "network": "a29b8fbbed85a759f4a4844400e00716",
    }


def test_no_two_kinds_or_values_are_one_bucket() -> None:
    whole = [buckets_of(KEY, clinic_id=1, email_normalized=e, network=n)["pair"] for e, n in (("ab", "c"), ("a", "bc"))]
    assert len(set(whole)) == 2
    same = buckets_of(KEY, clinic_id=1, email_normalized="x", network="x")
    assert all(one != other for one, other in itertools.combinations(same.values(), 2))
