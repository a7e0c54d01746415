"""Stopping `telemed serve`: no accepted request is dropped, and nothing is left behind."""

import asyncio
import tempfile
import time
import uuid
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.proof import checker
from tests.proof.crowds import kind
from tests.proof.figures import Figure, Scenario, at_least, at_most, exactly, none, told
from tests.proof.served import Served, eventually
from tests.proof.town import Town, Townsman
from tests.proof.wire import Answer, Ask, Dropped, Line, Refused, booking

CLIENTS, VISITORS = 16, 8
# Some think for a moment between two requests: their connections idle when the server is told to stop.
PAUSE_S = 0.03
SLOTS = 4000
STOP_S_MAX = 10.0
GONE_S_MAX = 8.0
# 143 is a process that ended as SIGTERM asks, as a supervisor expects it.
STOPPED = (0, -15, 143)


@dataclass
class Told:
    """What clients were told while the server went."""

    answers: Counter[str] = field(default_factory=Counter)
    booked: list[dict[str, object]] = field(default_factory=list)
    dropped: int = 0
    refused: int = 0
    after_signal: int = 0


class Load:
    """Regulars on kept connections, and visitors with a connection for each request."""

    def __init__(self, port: int, patients: list[Townsman], slots: list[int]) -> None:
        self._port, self._patients = port, patients
        self._slots = iter(slots)
        self.told = Told()
        self.is_stopping = False
        self.busy = asyncio.Event()

    def clients(self) -> list["asyncio.Task[None]"]:
        regulars = [asyncio.create_task(self._regular(number)) for number in range(CLIENTS)]
        return regulars + [asyncio.create_task(self._visitor(number)) for number in range(VISITORS)]

    async def _regular(self, number: int) -> None:
        """On one connection, until the server closes it after an answer that says so."""
        line = await Line(self._port).open()
        with suppress(Refused):
            while await self._ask(line, number) and line.is_open:
                if number % 2:
                    await asyncio.sleep(PAUSE_S)
        line.close()

    async def _visitor(self, number: int) -> None:
        with suppress(Refused):
            while True:
                line = await Line(self._port).open()
                if not await self._ask(line, CLIENTS + number):
                    break
                line.close()
                await asyncio.sleep(PAUSE_S)

    async def _ask(self, line: Line, number: int) -> bool:
        """Whether there was a whole answer."""
        patient = self._patients[number]
        ask = booking(patient.token, next(self._slots), f"key-{uuid.uuid4()}")
        if number % 4 == 3:
            ask = Ask("GET", "/consultations/my", patient.token)
        try:
            answer = await line.ask(ask)
        except Dropped:
            self.told.dropped += 1
            return False
        self._note(answer)
        return True

    def _note(self, answer: Answer) -> None:
        self.told.answers[kind(answer)] += 1
        self.told.after_signal += self.is_stopping
        if answer.status == 201:
            self.told.booked.append(answer.json())
        if self.told.answers.total() > 10 * (CLIENTS + VISITORS):
            self.busy.set()


def drain(*, rounds: int) -> list[Figure]:
    """SIGTERM under load, with one process and with two."""
    figures: list[Figure] = []
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as home:
            figures += _terminated_under_load(Served(Path(home), workers=workers), rounds)
    return figures


def ends(*, workers: tuple[int, ...]) -> list[Figure]:
    """Ctrl-C, when it serves and when it has just begun, and `kill -9`: nothing runs on, nobody sees a traceback."""
    figures: list[Figure] = []
    for count in workers:
        with tempfile.TemporaryDirectory() as home:
            served = Served(Path(home), workers=count)
            figures += _interrupted(served)
            # One process alone has nobody to keep it quiet while Python itself starts.
            figures += _interrupted_at_start(served) if count > 1 else []
            figures += _killed(served)
    return figures


def _terminated_under_load(served: Served, rounds: int) -> list[Figure]:
    name = f"SIGTERM, {served.workers} process(es)"
    all_told, codes, longest_s = Told(), Counter[int](), 0.0
    for _ in range(rounds):
        with served:
            with served.database() as database:
                town = Town(database.url("telemed_owner"))
                patients = town.people("patient", CLIENTS + VISITORS)
                slots = town.slots(town.people("doctor", 1)[0], SLOTS)
            load_told, code, took_s = asyncio.run(_load_until_stopped(served, patients, slots))
        codes[code] += 1
        longest_s = max(longest_s, took_s)
        all_told.dropped += load_told.dropped
        all_told.after_signal += load_told.after_signal
        all_told.answers += load_told.answers
        with served.database():
            lost = checker.lost(town, load_told.booked)
            wrong = [figure for figure in checker.violations(town) if not figure.is_met]
    return [
        at_least(f"{name}: answers", all_told.answers.total(), rounds),
        told(f"{name}: of them after the signal", all_told.after_signal),
        none(f"{name}: requests sent and not answered", all_told.dropped),
        none(f"{name}: answers of 5xx", sum(n for what, n in all_told.answers.items() if what.startswith("5"))),
        none(f"{name}: acknowledged bookings lost", lost),
        *wrong,
        exactly(f"{name}: clean exit codes", sum(codes[code] for code in STOPPED), rounds),
        at_most(f"{name}: longest stop", longest_s, STOP_S_MAX, "s"),
        none(f"{name}: errors in the log", len(served.errors_logged())),
    ]


async def _load_until_stopped(served: Served, patients: list[Townsman], slots: list[int]) -> tuple[Told, int, float]:
    load = Load(served.port, patients, slots)
    clients = load.clients()
    await load.busy.wait()
    started = time.monotonic()
    served.terminate()
    load.is_stopping = True
    code = await asyncio.to_thread(served.wait, 40)
    took_s = time.monotonic() - started
    await asyncio.gather(*clients)
    return load.told, code, took_s


def _interrupted(served: Served) -> list[Figure]:
    """Ctrl-C, with a browser's idle connection open."""
    name = f"Ctrl-C, {served.workers} process(es)"
    with served:
        asyncio.run(_interrupt_with_idle_connection(served))
        started = time.monotonic()
        code = served.wait(40)
        left_s = time.monotonic() - started + eventually(lambda: not served.processes(), within_s=20)
    return [
        exactly(f"{name}: exit code is 0 or 130", code in {0, 130}, 1),
        at_most(f"{name}: until nothing runs", left_s, STOP_S_MAX, "s"),
        none(f"{name}: tracebacks and errors on the terminal", len(served.errors_logged())),
    ]


async def _interrupt_with_idle_connection(served: Served) -> None:
    line = await Line(served.port).open()
    await line.ask(Ask("GET", "/health/live"))
    served.interrupt()
    line.close()


def _interrupted_at_start(served: Served) -> list[Figure]:
    """Ctrl-C while the workers are still importing."""
    name = f"Ctrl-C at the start, {served.workers} process(es)"
    errors_before = len(served.errors_logged())
    served.start()
    # The command, multiprocessing's own helper, the workers.
    eventually(lambda: len(served.processes()) >= 2 + served.workers, within_s=20)
    served.interrupt()
    code = served.wait(40)
    eventually(lambda: not served.processes(), within_s=20)
    return [
        exactly(f"{name}: exit code is 0 or 130", code in {0, 130}, 1),
        none(f"{name}: tracebacks and errors on the terminal", len(served.errors_logged()) - errors_before),
    ]


def _killed(served: Served) -> list[Figure]:
    """`kill -9` of the command: workers, keeper and PostgreSQL end by themselves."""
    name = f"kill -9, {served.workers} process(es)"
    with served:
        served.kill()
        left_s = eventually(lambda: not served.processes(), within_s=30)
    return [at_most(f"{name}: until nothing runs", left_s, GONE_S_MAX, "s")]


DRAIN = Scenario("drain", drain, short={"rounds": 1}, full={"rounds": 10})
ENDS = Scenario("ends", ends, short={"workers": (2,)}, full={"workers": (1, 2)})
