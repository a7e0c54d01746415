"""`telemed serve` in one process, sampled: where its processor time goes, function by function.

Run as `python -m app.cli.profiled OUTPUT.json serve …`. A timer of processor time interrupts the process at the
kernel's ticks, 250 or 1,000 of them a second, and notes the stack; time spent in C counts for the Python function that
called it.
"""

import json
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

from app.cli import main

SAMPLE_S = 0.001
_samples: Counter[tuple[str, ...]] = Counter()


def run(output: Path) -> None:
    """Serve until told to stop, then write the stacks with their counts."""
    signal.signal(signal.SIGPROF, _sample)
    # uvicorn raises again what it was stopped with; here that must not end the process before it has written.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.setitimer(signal.ITIMER_PROF, SAMPLE_S, SAMPLE_S)
    try:
        main()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        stacks = [{"stack": stack, "count": count} for stack, count in _samples.most_common()]
        output.write_text(json.dumps(stacks))


def _sample(_signal: int, frame: FrameType | None) -> None:
    stack = []
    while frame is not None:
        module = frame.f_globals.get("__name__", "?")
        stack.append(f"{module}:{frame.f_code.co_qualname}")
        frame = frame.f_back
    _samples[tuple(stack)] += 1


if __name__ == "__main__":
    path = Path(sys.argv.pop(1))
    run(path)
