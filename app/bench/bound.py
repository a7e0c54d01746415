"""A figure beside the bound that it must keep."""

from dataclasses import dataclass
from typing import Literal

Relation = Literal["≤", "≥", "="]


@dataclass(frozen=True, slots=True)
class Bound:
    """One line of the verdict. `is_timed` ones say something about this machine, and do not count in a quick run."""

    scenario: str
    name: str
    measured: float
    relation: Relation
    limit: float
    unit: str = ""
    is_timed: bool = True

    @property
    def is_met(self) -> bool:
        """Whether the figure keeps its bound."""
        if self.relation == "≤":
            return self.measured <= self.limit
        if self.relation == "≥":
            return self.measured >= self.limit
        return self.measured == self.limit

    def verdict(self, *, is_quick: bool) -> str:
        """`TOLD` where the figure is worth knowing and decides nothing."""
        if is_quick and self.is_timed:
            return "TOLD"
        return "PASS" if self.is_met else "MISSED"

    @property
    def measured_text(self) -> str:
        return f"{number(self.measured)} {self.unit}".rstrip()

    @property
    def limit_text(self) -> str:
        return f"{self.relation} {number(self.limit)} {self.unit}".rstrip()

    def line(self, *, is_quick: bool) -> str:
        """The verdict on the terminal."""
        verdict = self.verdict(is_quick=is_quick)
        return f"{verdict:<6} {self.scenario:<9} {self.name:<62} {self.measured_text:>16}   {self.limit_text}"


def none(scenario: str, name: str, measured: float) -> Bound:
    """Something that must not have happened, however fast the machine is."""
    return Bound(scenario, name, measured, "=", 0, is_timed=False)


def number(value: float) -> str:
    """As many digits as are worth reading."""
    digits = 0 if value == int(value) or abs(value) >= 100 else 1 if abs(value) >= 10 else 2  # noqa: PLR2004
    return f"{value:,.{digits}f}"
