"""What a scenario measured, beside the bound that it must keep."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of a proof."""

    name: str
    measured: float
    bound: str
    is_met: bool

    def __str__(self) -> str:
        verdict = "ok  " if self.is_met else "MISS"
        measured = f"{self.measured:,.2f}".removesuffix(".00")
        return f"{verdict} {self.name:<66} {measured:>12}   {self.bound}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """A run that can be had short (seconds, for the quick suite) or full (for the proof)."""

    name: str
    run: Callable[..., list[Figure]]
    short: dict[str, Any]
    full: dict[str, Any]
    is_seeded: bool = False

    def figures(self, *, is_short: bool, **more: Any) -> list[Figure]:
        return self.run(**(self.short if is_short else self.full), **more)


def exactly(name: str, measured: float, wanted: float) -> Figure:
    return Figure(name, measured, f"= {wanted:,}", measured == wanted)


def none(name: str, measured: float) -> Figure:
    return exactly(name, measured, 0)


def at_most(name: str, measured: float, limit: float, unit: str = "") -> Figure:
    return Figure(name, measured, f"<= {limit:,} {unit}".rstrip(), measured <= limit)


def at_least(name: str, measured: float, limit: float, unit: str = "") -> Figure:
    return Figure(name, measured, f">= {limit:,} {unit}".rstrip(), measured >= limit)


def told(name: str, measured: float) -> Figure:
    """Worth knowing, without a bound."""
    return Figure(name, measured, "", is_met=True)


def missed(figures: list[Figure]) -> list[str]:
    return [str(figure) for figure in figures if not figure.is_met]
