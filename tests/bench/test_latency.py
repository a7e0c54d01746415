"""Percentiles by nearest rank: always a time that somebody really waited."""

import random

import pytest

from app.bench.latency import Latency, curve, percentile


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1), (0.01, 1), (0.5, 50), (0.501, 51), (0.95, 95), (0.99, 99), (1.0, 100)]
)
def test_percentile_is_the_nearest_rank(share: float, expected: float) -> None:
    assert percentile(list(range(1, 101)), share) == expected


def test_percentile_of_one_is_that_one() -> None:
    assert Latency.of([7.0]) == Latency(1, 7.0, 7.0, 7.0, 7.0)


def test_nothing_has_no_latency() -> None:
    assert Latency.of([]) == Latency(0, 0.0, 0.0, 0.0, 0.0)


def test_order_does_not_matter() -> None:
    times = [float(number) for number in range(1, 1001)]
    random.Random(1).shuffle(times)
    assert Latency.of(times) == Latency(1000, 500, 950, 990, 1000)


def test_curve_claims_nothing_rarer_than_was_seen() -> None:
    assert [share for share, _ in curve(range(100))][-1] == 0.99
    assert curve([]) == []
