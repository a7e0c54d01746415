"""`python -m tests.proof [NAME …] [--short] [--seed N]`: every figure beside its bound; exit 1 if one is missed."""

import argparse
import signal
import sys
import time

from tests.proof.authz import AUTHZ
from tests.proof.canary import CANARY
from tests.proof.crashes import CRASHES
from tests.proof.crowds import ONE_KEY, ONE_SLOT
from tests.proof.cuts import CUTS
from tests.proof.disk import DISK
from tests.proof.drain import DRAIN, ENDS
from tests.proof.faults import FAULTS
from tests.proof.figures import missed
from tests.proof.fuzz import FUZZ
from tests.proof.kills import KILLS
from tests.proof.mixture import MIXTURE
from tests.proof.model import MODEL
from tests.proof.mutation import MUTATION
from tests.proof.outage import LOCK, OUTAGE
from tests.proof.raw import RAW
from tests.proof.seals import EDITS, INSERTS
from tests.proof.timing import TIMING

ALL = (
    ONE_SLOT,
    ONE_KEY,
    MIXTURE,
    MODEL,
    KILLS,
    CRASHES,
    FAULTS,
    DRAIN,
    ENDS,
    OUTAGE,
    LOCK,
    DISK,
    CUTS,
    EDITS,
    INSERTS,
    TIMING,
    AUTHZ,
    CANARY,
    RAW,
    FUZZ,
    MUTATION,
)
SCENARIOS = {scenario.name: scenario for scenario in ALL}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.proof", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones: {', '.join(SCENARIOS)}; all if none")
    parser.add_argument("--short", action="store_true", help="a shortened run of each")
    parser.add_argument("--seed", type=int, help="replay what was drawn at random")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - SCENARIOS.keys():
        parser.error(f"no such proof: {', '.join(sorted(unknown))}")
    # A run that is told to stop stops its servers, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    misses: list[str] = []
    for name in arguments.names or SCENARIOS:
        scenario, started = SCENARIOS[name], time.monotonic()
        print(f"{name} {scenario.short if arguments.short else scenario.full}", flush=True)
        seed = {} if arguments.seed is None or not scenario.is_seeded else {"seed": arguments.seed}
        figures = scenario.figures(is_short=arguments.short, **seed)
        print(*figures, f"{name}: {time.monotonic() - started:.0f} s\n", sep="\n", flush=True)
        misses += missed(figures)
    print(f"{len(misses)} missed" if misses else "all met", *misses, sep="\n")
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
