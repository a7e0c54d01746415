"""What a minute allows."""

import random

import pytest

from app.ratelimit.rules import MINUTE_S, UNKNOWN_NETWORK, Count, Limit, network_of, wait_s

TEN = Limit("ten", 10)


def test_fresh_caller_may_ask_for_the_whole_minute_at_once_and_no_more() -> None:
    count = Count(minute=5)
    for _ in range(10):
        assert wait_s(count, TEN, at_s=0.0) == 0
        count.own += 1
    assert wait_s(count, TEN, at_s=0.0) > 0


def test_what_other_replicas_counted_counts() -> None:
    assert wait_s(Count(minute=5, shared=10), TEN, at_s=0.0) > 0


def test_burst_on_the_edge_of_two_minutes_is_no_more_than_another() -> None:
    count = Count(minute=5, own=10)
    count.turn_to(6)
    assert wait_s(count, TEN, at_s=0.1) > 0


def test_who_was_away_for_a_minute_begins_anew() -> None:
    count = Count(minute=5, own=10)
    count.turn_to(7)
    assert (count.previous, count.shared, count.own) == (0, 0, 0)


@pytest.mark.parametrize("seed", range(200))
def test_who_waits_as_told_is_let_in_and_who_comes_a_second_earlier_is_mostly_not(seed: int) -> None:
    rng = random.Random(seed)
    limit = Limit("some", rng.randint(1, 50))
    count = Count(minute=5, previous=rng.randint(0, limit.per_minute), shared=rng.randint(0, limit.per_minute))
    at_s = rng.uniform(0, MINUTE_S - 0.001)
    wait = wait_s(count, limit, at_s=at_s)
    assert 0 <= wait <= 2 * MINUTE_S
    if wait:
        assert wait_s(*later(count, at_s + wait)[:1], limit, at_s=later(count, at_s + wait)[1]) == 0
    if wait > 1:
        assert wait_s(*later(count, at_s + wait - 1.001)[:1], limit, at_s=later(count, at_s + wait - 1.001)[1]) > 0


def later(count: Count, at_s: float) -> tuple[Count, float]:
    moved = Count(count.minute, count.previous, count.shared, count.own)
    for _ in range(int(at_s // MINUTE_S)):
        moved.turn_to(moved.minute + 1)
    return moved, at_s % MINUTE_S


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("testclient", UNKNOWN_NETWORK),
        (None, UNKNOWN_NETWORK),
    ],
)
def test_network_is_an_address_or_the_half_of_one(address: str | None, network: str) -> None:
    assert network_of(address) == network


def test_replicas_of_every_release_count_the_same_minutes_and_networks() -> None:
    assert (MINUTE_S, UNKNOWN_NETWORK) == (60, "unknown")


def test_limit_is_told_to_other_replicas_at_once_only_if_it_says_so() -> None:
    assert not TEN.is_shared_at_once
