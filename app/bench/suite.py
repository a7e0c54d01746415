"""Runs the chosen scenarios on one town, one after the other, and writes down what they found."""

import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.bench import loading, machine
from app.bench.bound import Bound, none
from app.bench.loading import Progress
from app.bench.machine import Machine
from app.bench.measuring import Bench, Tell
from app.bench.scale import Scale
from app.bench.scenario import crowd, day, growth, hold, http, limit, overload, pairs, profile, storm
from app.bench.server import Cluster
from app.bench.traffic import PASSWORD, Traffic
from app.encryption.rules import KeyRing
from app.identity.passwords import Passwords
from app.kit import keys

MINUTES_MAX, QUICK_MINUTES_MAX = 30, 3


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is measured under a name, and about how long that takes in full."""

    name: str
    measure: Callable[[Bench], Any]
    bounds: Callable[[Any], list[Bound]]


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("limit", limit.measure, limit.bounds),
        Scenario("http", http.measure, http.bounds),
        Scenario("pairs", pairs.measure, pairs.bounds),
        Scenario("profile", profile.measure, profile.bounds),
        Scenario("growth", growth.measure, growth.bounds),
        Scenario("hold", hold.measure, hold.bounds),
        Scenario("overload", overload.measure, overload.bounds),
        Scenario("crowd", crowd.measure, crowd.bounds),
        Scenario("storm", storm.measure, storm.bounds),
        Scenario("day", day.measure, day.bounds),
    )
}


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for."""

    scale: Scale
    workers: int
    names: tuple[str, ...]
    # Where to keep the clusters and logs; none: in a temporary folder that goes.
    folder: Path | None = None


@dataclass(slots=True)
class Findings:
    """Everything that the report is made of."""

    options: Options
    machine: Machine
    began_at: datetime
    results: dict[str, Any] = field(default_factory=dict)
    bounds: list[Bound] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def missed(self) -> list[Bound]:
        """The bounds that decide: in a quick run those that hold on any machine."""
        return [one for one in self.bounds if not one.is_met and not (one.is_timed and self.options.scale.is_quick)]

    def as_json(self) -> str:
        """All of it; times are in the unit that a name ends with."""
        document = {
            "began_at": self.began_at.isoformat(timespec="seconds"),
            "machine": asdict(self.machine),
            "workers": self.options.workers,
            "parameters": asdict(self.options.scale),
            "seconds": self.seconds,
            "failures": self.failures,
            "bounds": [{**asdict(bound), "is_met": bound.is_met} for bound in self.bounds],
            "results": {name: asdict(result) for name, result in self.results.items()},
        }
        return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)


def run(options: Options, *, tell: Tell, progress: Progress, report: Callable[[str, list[Bound]], None]) -> Findings:
    """Measure; `report` hears each scenario's bounds as soon as they are known."""
    began = time.monotonic()
    with _folder(options) as folder, Cluster(folder / "town") as cluster:
        found = Findings(options, machine.describe(cluster), datetime.now(UTC))
        town = options.scale.town
        tell(f"loading {town.slots:,} slots")
        hashed = _password_hash(cluster.secret, options.scale.bcrypt_cost)
        found.seconds["load"] = loading.load(
            cluster.url("postgres"), town, password_hash=hashed, ring=KeyRing([cluster.secret]), progress=progress
        )
        loading.check(cluster.url("postgres"))
        bench = Bench(
            scale=options.scale,
            folder=folder,
            cluster=cluster,
            town=town,
            traffic=Traffic(town, secret_key=cluster.secret),
            workers=options.workers,
            tell=tell,
            progress=progress,
        )
        for name in options.names:
            _run_one(SCENARIOS[name], bench, found)
            report(name, [bound for bound in found.bounds if bound.scenario == name])
        tell("holding the town against its constraints")
        found.bounds.append(
            none("town", "rows that break a constraint in the end", loading.doubles(cluster.url("postgres")))
        )
        report("town", found.bounds[-1:])
    found.seconds["all"] = round(time.monotonic() - began, 1)
    if len(options.names) == len(SCENARIOS):
        limit_min = QUICK_MINUTES_MAX if options.scale.is_quick else MINUTES_MAX
        found.bounds.append(Bound("bench", "minutes for everything", found.seconds["all"] / 60, "≤", limit_min, "min"))
        report("bench", found.bounds[-1:])
    return found


def _run_one(scenario: Scenario, bench: Bench, found: Findings) -> None:
    """One that fails is a missed bound, and the others still run."""
    began = time.monotonic()
    try:
        result = scenario.measure(bench)
    except Exception as error:  # noqa: BLE001 - what the others have measured must not be lost
        found.failures[scenario.name] = f"{type(error).__name__}: {error}"
        found.bounds.append(none(scenario.name, f"failed: {type(error).__name__}: {error}"[:160], 1))
    else:
        found.results[scenario.name] = result
        found.bounds += scenario.bounds(result)
    found.seconds[scenario.name] = round(time.monotonic() - began, 1)


@contextmanager
def _folder(options: Options) -> Iterator[Path]:
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
        yield options.folder.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="telemed-bench-") as folder:
        yield Path(folder)


def _password_hash(secret: str, cost: int) -> str:
    """Everybody's password, hashed as the measured server will check it."""
    passwords = Passwords(pepper=keys.derive(secret, "passwords"), cost=cost)
    try:
        return asyncio.run(passwords.hash(PASSWORD))
    finally:
        passwords.close()
