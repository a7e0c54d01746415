"""Percentiles of what was measured; never an average."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Latency:
    """How long it took, in milliseconds. Of nothing, everything is 0."""

    count: int
    p50: float
    p95: float
    p99: float
    most: float

    @classmethod
    def of(cls, times_ms: Iterable[float]) -> "Latency":
        """The percentiles of these times, in any order."""
        ordered = sorted(times_ms)
        return cls(len(ordered), *(percentile(ordered, share) for share in (0.5, 0.95, 0.99, 1.0)))


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest of the ordered values that at least this share of them does not exceed (nearest rank)."""
    if not ordered:
        return 0.0
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 3)


def curve(times_ms: Iterable[float]) -> list[tuple[float, float]]:
    """(share, time) at the shares that a latency curve shows, from the median to the last in ten thousand."""
    ordered = sorted(times_ms)
    return [(share, percentile(ordered, share)) for share in _SHARES if len(ordered) * (1 - share) >= 1]


_SHARES = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975, 0.99, 0.995, 0.999, 0.9995, 0.9999)
