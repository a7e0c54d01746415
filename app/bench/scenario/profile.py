"""Where the worker's time goes, function by function: one worker, sampled while it works.

The timer of processor time rings at the kernel's ticks, 250 or 1,000 of them a second.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from app.bench.bound import Bound
from app.bench.measuring import Bench, Measured, closed_loop

CONNECTIONS = 32
FUNCTIONS = 30
# Starting and stopping are no part of serving.
_ASIDE = ("lifespan", "startup", "shutdown", "importlib", "on_startup")
# What runs while nobody serves.
_SERVES = "uvicorn"


@dataclass(frozen=True, slots=True)
class Line:
    """A function or a package, and the processor time that a request spends in it."""

    name: str
    share: float
    us: float


@dataclass(frozen=True, slots=True)
class Profile:
    """Of one operation. `own` is a function's own time, `all` includes what it calls."""

    measured: Measured
    samples: int
    packages: list[Line]
    own: list[Line]
    all: list[Line]


@dataclass(frozen=True, slots=True)
class ProfileResult:
    """By operation."""

    bookings: Profile
    searches: Profile


def measure(bench: Bench) -> ProfileResult:
    """Bookings, then searches, each by a worker of its own."""
    return ProfileResult(_profiled(bench, "bookings"), _profiled(bench, "searches"))


def bounds(_: ProfileResult) -> list[Bound]:
    """None: it explains the others."""
    return []


def _profiled(bench: Bench, operation: str) -> Profile:
    bench.tell(f"profile: {operation}")
    output = bench.folder / f"profile-{operation}.json"
    with bench.serve(workers=1, sampled=output) as server:
        measured = closed_loop(bench, server, operation, connections=CONNECTIONS, seconds=bench.scale.profile_s)
    return summed(measured, output)


def summed(measured: Measured, output: Path) -> Profile:
    """The stacks that `app.cli.profiled` wrote, summed up by function and by package."""
    own: Counter[str] = Counter()
    everything: Counter[str] = Counter()
    packages: Counter[str] = Counter()
    for entry in json.loads(output.read_text()):
        stack, count = entry["stack"], entry["count"]
        if not any(_SERVES in place for place in stack) or any(word in place for place in stack for word in _ASIDE):
            continue
        own[stack[0]] += count
        packages[_package(stack)] += count
        for place in set(stack):
            everything[place] += count
    total = own.total()
    us = measured.cost.python_us

    def lines(found: Iterable[tuple[str, int]]) -> list[Line]:
        return [Line(name, round(count / total, 4), round(count / total * us, 1)) for name, count in found]

    return Profile(
        measured,
        total,
        lines(packages.most_common()),
        lines(own.most_common(FUNCTIONS)),
        lines(everything.most_common(FUNCTIONS)),
    )


def _package(stack: list[str]) -> str:
    """The room of ours, or the library, whose function it was."""
    parts = stack[0].partition(":")[0].split(".")
    return ".".join(parts[:2]) if parts[0] == "app" else parts[0]
