"""Four times as many bookings as the server can make: the excess is told so at once, the rest is booked."""

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass
from statistics import median

from app.bench.bound import Bound, none
from app.bench.generator import Generator
from app.bench.latency import Latency, percentile
from app.bench.measuring import (
    REFUSED_EARLY,
    SUCCESS,
    Bench,
    closed_loop,
    errors,
    evenly,
    open_loop,
    statuses,
)
from app.bench.requests import Run
from app.bench.server import Running

TIMES = 4
PEAK_CONNECTIONS = (32, 256)
GOODPUT_MIN = 0.8
REFUSAL_P95_MS = 100
RECOVERY_S_MAX = 5
# What is normal: a quarter of the peak, answered in no more than twice the usual time.
NORMAL_SHARE, NORMAL_TIMES, NORMAL_SLACK_MS = 0.25, 2, 20
NORMAL_CONNECTIONS = 64
# Of the slots that are free, so many may be wanted here.
TOWN_SHARE = 0.6
_WINDOW_S = 0.5


@dataclass(frozen=True, slots=True)
class Round:
    """A peak, and directly after it four times as much: a slow minute of the machine is in both."""

    peak_per_second: float
    goodput_per_second: float
    share: float


@dataclass(frozen=True, slots=True)
class OverloadResult:
    """Of all rounds together; latencies are since due, `refusals_since_sent` leaves out the wait for a connection.

    `excess` is what was refused, and what could never be sent with the time that it waited: nobody answered it.
    """

    rounds: list[Round]
    # The median of the rounds.
    goodput_share: float
    connections: int
    seconds: float
    accepted: Latency
    excess: Latency
    refusals: Latency
    refusals_since_sent: Latency
    statuses: dict[str, int]
    errors: int
    unsent: int
    goodput_by_second: list[int]
    refused_by_second: list[int]
    quiet: Latency
    # From the last offered request until normal again; as long as we looked if it never was.
    recovery_s: float
    # The p95 of each half second afterwards; none where not everything was booked.
    recovery_windows: list[float | None]
    generator_share: float
    generator_us: float


def measure(bench: Bench) -> OverloadResult:
    """A quiet while, then the peak and four times the peak in turns, and the way back."""
    scale = bench.scale
    with bench.serve() as server:
        closed_loop(bench, server, "bookings", connections=PEAK_CONNECTIONS[0], seconds=scale.warm_up_s)
        usual = NORMAL_SHARE * _peak(bench, server)
        bench.tell("overload: a quiet while")
        quiet = open_loop(
            bench, server, "bookings", connections=NORMAL_CONNECTIONS, seconds=scale.seconds, per_second=usual
        ).latency
        after = list(bench.traffic.bookings(int(usual * scale.recovery_s)))
        peaks, runs = [], []
        for turn in range(scale.overload_rounds):
            peaks.append(_peak(bench, server))
            bench.tell(f"overload: round {turn + 1}, {TIMES}× {peaks[-1]:.0f} bookings a second")
            runs.append(_overload(bench, server, TIMES * peaks[-1]))
        with Generator(server.port, connections=NORMAL_CONNECTIONS) as generator:
            recovery = generator.open_loop(evenly(after, usual), seconds=scale.recovery_s)
    return _result(peaks, runs, recovery, quiet=quiet)


def bounds(result: OverloadResult) -> list[Bound]:
    """Goodput, quick refusals, nothing else, and recovery."""
    return [
        Bound(
            "overload",
            f"goodput at {TIMES}× / peak, median of {len(result.rounds)} rounds",
            result.goodput_share,
            "≥",
            GOODPUT_MIN,
        ),
        Bound("overload", "p95 until the excess got its 429 or 503", result.excess.p95, "≤", REFUSAL_P95_MS, "ms"),
        none("overload", "answers other than 2xx, 429, 503", result.errors),
        Bound("overload", "seconds until normal again", result.recovery_s, "≤", RECOVERY_S_MAX, "s"),
    ]


def _peak(bench: Bench, server: Running) -> float:
    best = 0.0
    for connections in PEAK_CONNECTIONS:
        bench.tell(f"overload: the peak, {connections} connections")
        one = closed_loop(bench, server, "bookings", connections=connections, seconds=bench.scale.seconds)
        best = max(best, one.per_second)
    return best


def _overload(bench: Bench, server: Running, per_second: float) -> Run:
    """What was refused or never sent is given back: most of it, and the town is not endless."""
    # A small town on a fast machine is sold out sooner; the rest is for those who come after.
    seconds = min(bench.scale.overload_s, TOWN_SHARE * bench.traffic.wishes_left / per_second)
    wishes = bench.traffic.take(int(per_second * seconds))
    made = [bench.traffic.wished(wish) for wish in wishes]
    with Generator(server.port, connections=bench.scale.overload_connections) as generator:
        run = generator.open_loop(evenly(made, per_second), seconds=seconds, leaves_unsent=True)
    used = {sample.request.wish for sample in run.samples if sample.status not in REFUSED_EARLY}
    bench.traffic.give_back(wish for wish in wishes if wish not in used)
    return run


def _result(peaks: Sequence[float], runs: Sequence[Run], recovery: Run, *, quiet: Latency) -> OverloadResult:
    rounds = [_round(peak, run) for peak, run in zip(peaks, runs, strict=True)]
    samples = [sample for run in runs for sample in run.samples]
    accepted = [sample for sample in samples if sample.status in SUCCESS]
    refused = [sample for sample in samples if sample.status in REFUSED_EARLY]
    windows = _windows(recovery)
    normal_ms = max(NORMAL_TIMES * quiet.p95, quiet.p95 + NORMAL_SLACK_MS)
    normal = next((number for number, p95 in enumerate(windows) if p95 is not None and p95 <= normal_ms), len(windows))
    drained_s = max(0.0, runs[-1].drained_s - runs[-1].seconds)
    cpu_seconds = sum(run.cpu_seconds for run in runs)
    return OverloadResult(
        rounds=rounds,
        goodput_share=round(median(one.share for one in rounds), 3),
        connections=runs[0].connections,
        seconds=sum(run.seconds for run in runs),
        accepted=Latency.of(sample.latency_ms for sample in accepted),
        excess=Latency.of(
            [
                *(sample.latency_ms for sample in refused),
                *(waited * 1000 for run in runs for waited in run.unsent_waited_s),
            ]
        ),
        refusals=Latency.of(sample.latency_ms for sample in refused),
        refusals_since_sent=Latency.of(sample.answer_ms for sample in refused),
        statuses=statuses(samples),
        errors=errors(samples, REFUSED_EARLY) + errors(recovery.samples, REFUSED_EARLY),
        unsent=sum(run.unsent for run in runs),
        goodput_by_second=[count for run in runs for count in _by_second(run, SUCCESS)],
        refused_by_second=[count for run in runs for count in _by_second(run, REFUSED_EARLY)],
        quiet=quiet,
        recovery_s=round(drained_s + (normal + 1) * _WINDOW_S, 2),
        recovery_windows=windows,
        generator_share=round(cpu_seconds / sum(run.drained_s for run in runs), 3),
        generator_us=round(cpu_seconds / max(1, len(samples)) * 1e6, 1),
    )


def _round(peak: float, run: Run) -> Round:
    goodput = sum(sample.status in SUCCESS and sample.ended <= run.seconds for sample in run.samples) / run.seconds
    return Round(peak, round(goodput, 1), round(goodput / peak, 3))


def _windows(recovery: Run) -> list[float | None]:
    windows: list[list[float]] = [[] for _ in range(int(recovery.seconds / _WINDOW_S))]
    for sample in recovery.samples:
        at = int(sample.due / _WINDOW_S)
        if at < len(windows):
            windows[at].append(sample.latency_ms if sample.status in SUCCESS else math.inf)
    slowest = [percentile(sorted(window), 0.95) for window in windows]
    return [p95 if math.isfinite(p95) else None for p95 in slowest]


def _by_second(run: Run, wanted: Container[int]) -> list[int]:
    counts = [0] * int(run.seconds)
    for sample in run.samples:
        if sample.status in wanted and sample.ended < len(counts):
            counts[int(sample.ended)] += 1
    return counts
