"""Ten thousand patients before forty slots: a generator of their own, in a process of its own.

One epoll loop for the crowd and for the others would measure the crowd's sending as the others' waiting.
"""

import json
import multiprocessing
import random
import signal
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from app.bench.generator import Generator
from app.bench.latency import Latency
from app.bench.measuring import REFUSED_EARLY, SUCCESS, statuses
from app.bench.requests import UNANSWERED, Request, Run
from app.bench.town import Town
from app.bench.traffic import Traffic

CONFLICT = 409
# Somebody who was too late for so many slots gives up.
TRIES_MAX = 3
# Nobody comes back to the millisecond, and who got no answer waits a moment.
JITTER, NO_ANSWER_PAUSE_S = 0.5, 1.0
READY_S_MAX = 120.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Who wants what, and how they come: all within `arrive_s`, over so many connections."""

    port: int
    secret: str
    town: Town
    patients: int
    slots: list[int]
    connections: int
    arrive_s: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What the crowd has seen. Times are seconds from the moment the first came."""

    patients: int
    requests: int
    booked: int
    too_late: int
    without_answer: int
    surprised: int
    sold_out_s: float
    over_s: float
    statuses: dict[str, int]
    bookings: Latency
    conflicts: Latency
    refusals: Latency
    connections: int
    generator_share: float
    generator_us: float


@dataclass(slots=True)
class _Crowd:
    """Each patient tries a slot that they do not know to be taken, until one is theirs or they have had enough."""

    traffic: Traffic
    slots: list[int]
    rng: random.Random
    outcomes: Counter[str] = field(default_factory=Counter)

    def comes(self, patient: int) -> Request:
        return self._tries(patient, (), self.rng.choice(self.slots))

    def _tries(self, patient: int, taken: tuple[int, ...], slot: int) -> Request:
        request = self.traffic.booking(patient, slot, key=f"crowd-{patient}-{len(taken)}")
        request.kind = "crowd"
        request.then = partial(self._goes_on, request, patient, (*taken, slot))
        return request

    def _goes_on(
        self, request: Request, patient: int, tried: tuple[int, ...], status: int, _body: bytes, retry_after: float
    ) -> Iterable[tuple[float, Request]]:
        if status in REFUSED_EARLY or status == UNANSWERED:
            pause = (retry_after or NO_ANSWER_PAUSE_S) * (1 + JITTER * self.rng.random())
            return ((pause, request),)
        if status == CONFLICT and len(tried) < TRIES_MAX:
            unknown = [slot for slot in self.slots if slot not in tried]
            return ((0.0, self._tries(patient, tried, self.rng.choice(unknown))),)
        self.outcomes["booked" if status in SUCCESS else "too late" if status == CONFLICT else "surprised"] += 1
        return ()


class Gathering:
    """The crowd's process. It is connected and waits for the moment."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def comes_at(self, moment: float) -> None:
        """Let them come at this moment of `time.monotonic`, which all processes share."""
        self._pipe.send(moment)

    def tells(self, *, within_s: float) -> Seen:
        """What they have seen, when they are through."""
        if not self._pipe.poll(within_s):
            raise TimeoutError(f"the crowd's process has not ended within {within_s:.0f} s")
        seen: Seen = self._pipe.recv()
        return seen


@contextmanager
def gathered(plan: Plan) -> Iterator[Gathering]:
    """The crowd, ready before the door. It goes home when the block ends, whatever it was doing."""
    ours, theirs = multiprocessing.Pipe()
    process: BaseProcess = multiprocessing.get_context("spawn").Process(
        target=_attend, args=(plan, theirs), daemon=True
    )
    process.start()
    theirs.close()
    try:
        if not ours.poll(READY_S_MAX) or ours.recv() != "ready":
            raise TimeoutError("the crowd's process does not start")
        yield Gathering(ours)
    finally:
        process.terminate()
        process.join()


def _attend(plan: Plan, pipe: Connection) -> None:
    # Ctrl-C is for the process that started this one; it ends us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    traffic = Traffic(plan.town, secret_key=plan.secret, seed=2)
    crowd = _Crowd(traffic, plan.slots, traffic.rng)
    first = plan.town.patients // 2
    made = [crowd.comes(first + number) for number in range(plan.patients)]
    schedule = sorted(((plan.arrive_s * traffic.rng.random(), request) for request in made), key=_due)
    with Generator(plan.port, connections=plan.connections) as generator:
        pipe.send("ready")
        moment: float = pipe.recv()
        time.sleep(max(0.0, moment - time.monotonic()))
        run = generator.open_loop(schedule, seconds=plan.seconds, leaves_unsent=True)
    pipe.send(_seen(plan, crowd, run))


def _due(entry: tuple[float, Request]) -> float:
    return entry[0]


def _seen(plan: Plan, crowd: _Crowd, run: Run) -> Seen:
    booked = sorted(sample.ended for sample in run.samples if sample.status in SUCCESS)
    final = [sample.ended for sample in run.samples if sample.status in SUCCESS or sample.status == CONFLICT]
    return Seen(
        patients=plan.patients,
        requests=len(run.samples),
        booked=crowd.outcomes["booked"],
        too_late=crowd.outcomes["too late"],
        without_answer=plan.patients - crowd.outcomes.total(),
        surprised=crowd.outcomes["surprised"],
        sold_out_s=round(booked[-1], 2) if len(booked) == len(plan.slots) else plan.seconds,
        over_s=round(max(final, default=0.0), 2),
        statuses=statuses(run.samples),
        bookings=Latency.of(sample.latency_ms for sample in run.samples if sample.status in SUCCESS),
        conflicts=Latency.of(sample.latency_ms for sample in run.samples if sample.status == CONFLICT),
        refusals=Latency.of(sample.latency_ms for sample in run.samples if sample.status in REFUSED_EARLY),
        connections=run.connections,
        generator_share=round(run.cpu_seconds / max(run.drained_s, 1e-9), 3),
        generator_us=round(run.cpu_seconds / max(1, len(run.samples)) * 1e6, 1),
    )


def slot_ids(body: bytes) -> list[int]:
    """The numbers of the slots that a doctor has just opened."""
    return [slot["id"] for slot in json.loads(body)["items"]]
