"""Clients who write until so much was acknowledged, and note what they were told.

Each keeps one key until there is a definite answer, and goes to the other replica when theirs is gone.
"""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.cast import prescription_for
from tests.proof.crowds import kind
from tests.proof.mixture import is_definite
from tests.proof.town import Townsman
from tests.proof.wire import Answer, Ask, Dropped, Line, Refused, booking, status_change

CLIENTS = 32
# Of all bookings: asked for in somebody else's slot, asked for twice, cancelled, completed and prescribed for.
STRAY, REPEATED, CANCELLED, COMPLETED = 0.05, 0.05, 0.2, 0.1
WRITES_A_BOOKING = 1 + CANCELLED + 2 * COMPLETED
RETRY_PAUSE_S = 0.05


@dataclass
class Tale:
    """What the clients were told."""

    booked: list[dict[str, Any]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    completed: list[str] = field(default_factory=list)
    prescribed: list[dict[str, Any]] = field(default_factory=list)
    contradictions: int = 0
    odd: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    again: Counter[str] = field(default_factory=Counter)
    longest_silence_s: float = 0.0
    _last_at: float = field(default_factory=time.monotonic)

    @property
    def writes(self) -> int:
        return len(self.booked) + len(self.cancelled) + len(self.completed) + len(self.prescribed)

    def begins(self) -> None:
        """From now on silence counts."""
        self._last_at = time.monotonic()

    def is_told(self) -> None:
        now = time.monotonic()
        self.longest_silence_s = max(self.longest_silence_s, now - self._last_at)
        self._last_at = now


@dataclass
class Writers:
    """Patients and doctors who write until `writes` of it were acknowledged."""

    ports: list[int]
    pairs: list[tuple[Townsman, Townsman, list[int]]]
    writes: int
    seed: int
    tale: Tale = field(default_factory=Tale)
    # They go on until everything has broken that is to break: a fault that nobody meets proves nothing.
    faults_left: int = 0

    @property
    def is_over(self) -> bool:
        return self.tale.writes >= self.writes and not self.faults_left

    async def client(self, number: int) -> None:
        draw = random.Random(f"{self.seed}-{number}")
        line = _Line(self.ports, number)
        for doctor, patient, slots in self.pairs[number::CLIENTS]:
            for slot_id in slots:
                if self.is_over:
                    line.close()
                    return
                is_stray = draw.random() < STRAY
                await self._visit(draw, line, doctor, patient, self.slot_of_another(draw) if is_stray else slot_id)
        raise AssertionError("more slots than that are needed")

    def slot_of_another(self, draw: random.Random) -> int:
        return draw.choice(draw.choice(self.pairs)[2])

    async def _visit(
        self, draw: random.Random, line: "_Line", doctor: Townsman, patient: Townsman, slot_id: int
    ) -> None:
        ask = booking(patient.token, slot_id, f"key-{draw.getrandbits(64):016x}")
        answer = await self._until_definite(line, ask)
        if draw.random() < REPEATED:
            again = await self._until_definite(line, ask)
            self.tale.contradictions += again.told != answer.told
        if answer.status != 201:
            return
        self.tale.booked.append(answer.json())
        id, dice = answer.json()["id"], draw.random()
        if dice < CANCELLED:
            await self._changes(line, patient, id, "cancelled", self.tale.cancelled)
        elif dice < CANCELLED + COMPLETED and answer.json()["doctor_id"] == str(doctor.id):
            await self._changes(line, doctor, id, "completed", self.tale.completed)
            key = f"key-{draw.getrandbits(64):016x}"
            issued = await self._until_definite(
                line, Ask("POST", "/prescriptions/", doctor.token, prescription_for(id), key)
            )
            if issued.status == 201:
                self.tale.prescribed.append(issued.json())

    async def _changes(self, line: "_Line", who: Townsman, id: str, status: str, noted: list[str]) -> None:
        if (await self._until_definite(line, status_change(who.token, id, status))).status == 200:
            noted.append(id)

    async def _until_definite(self, line: "_Line", ask: Ask) -> Answer:
        while True:
            try:
                answer = await line.ask(ask)
            except (Refused, Dropped) as error:
                self.tale.again[type(error).__name__.lower()] += 1
                line.turn()
            else:
                if is_definite(answer) or answer.status == 200:
                    self.tale.is_told()
                    if answer.status >= 400:
                        self.tale.refused[kind(answer)] += 1
                    return answer
                self.tale.again[kind(answer)] += 1
                if answer.code not in {"unavailable", "idempotency_in_flight"}:
                    self.tale.odd[kind(answer)] += 1
            await asyncio.sleep(RETRY_PAUSE_S)


class _Line:
    """A connection to one of the replicas, until that one is gone."""

    def __init__(self, ports: list[int], number: int) -> None:
        self._lines = [Line(port) for port in ports]
        self._turn = number

    async def ask(self, ask: Ask) -> Answer:
        return await self._lines[self._turn % len(self._lines)].ask(ask)

    def turn(self) -> None:
        self._turn += 1

    def close(self) -> None:
        for line in self._lines:
            line.close()
