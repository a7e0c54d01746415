"""The application against the contract's booking rules in plain Python, deed by deed.

Alone: `python -m tests.proof model [--short]`.
"""

import tempfile
from pathlib import Path

import hypothesis
import psycopg
import pytest
from hypothesis import HealthCheck, Phase
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test
from starlette.testclient import TestClient

from app import worker
from app.db import embedded, migrate
from app.main import create_app
from tests.booking.machine import PAST_TRIGGERS, Machine, World
from tests.booking.rulebook import AHEAD_MAX, VERDICTS
from tests.cast import found_clinic
from tests.conftest import FAST_AND_LOOSE, settings_for
from tests.proof.figures import Figure, Scenario, at_least, none, told

# The limit that the rulebook knows; every booking of a run is made on one day.
SETTINGS = {"bookings_ahead_max": AHEAD_MAX, "bookings_a_day_max": 0}


def compare(world: World, *, runs: int, steps: int, ways: int, seed: int = 1) -> list[Figure]:
    """So many runs of so many steps each, drawn at random; what contradicts the rulebook is printed, made small."""

    @hypothesis.seed(seed)
    def machine() -> Machine:
        return Machine(world)

    settings = hypothesis.settings(
        max_examples=runs,
        stateful_step_count=steps,
        database=None,
        deadline=None,
        print_blob=False,
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    contradictions = 0
    try:
        run_state_machine_as_test(machine, settings=settings)  # type: ignore[no-untyped-call]
    except (AssertionError, Flaky) as contradiction:
        contradictions = 1
        print(contradiction, *getattr(contradiction, "__notes__", []), sep="\n")
    met = sum(world.told[verdict] > 0 for verdict in VERDICTS)
    return [
        at_least("runs", world.runs, runs),
        told("steps", world.steps),
        told("looks at lists", world.looks),
        at_least("deeds, each answer as the rulebook has it", world.told.total(), runs * steps / 2),
        *(told(f"  {verdict}", world.told[verdict]) for verdict in VERDICTS),
        at_least(f"ways to be told, of {len(VERDICTS)}", met, ways),
        none("contradictions", contradictions),
    ]


def run(*, runs: int, steps: int, ways: int, seed: int = 1) -> list[Figure]:
    """On an embedded server of its own."""
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory() as folder,
        embedded.attach(Path(folder) / "postgres", parameters=FAST_AND_LOOSE) as postgres,
    ):
        # Keys that are a week old would be tidied away, and the rulebook counts them.
        patch.setattr(worker, "FIRST_AFTER_S", (86_400.0, 86_400.0))
        url = postgres.url("telemed_owner")
        migrate.upgrade(url, app_role="telemed_app")
        with (
            TestClient(create_app(settings_for(url, **SETTINGS)), raise_server_exceptions=False) as client,
            psycopg.connect(postgres.url("postgres"), autocommit=True, options=PAST_TRIGGERS) as boss,
        ):
            return compare(World(found_clinic(client), boss), runs=runs, steps=steps, ways=ways, seed=seed)


MODEL = Scenario(
    "model",
    run,
    short={"runs": 16, "steps": 40, "ways": 25},
    full={"runs": 500, "steps": 60, "ways": len(VERDICTS)},
    is_seeded=True,
)
