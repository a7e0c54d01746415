"""`kill -9` in the middle of a booking storm: of the API, of PostgreSQL, of PostgreSQL's keeper.

The clients behave as the contract asks: the same key, again and again, until there is a definite answer.
"""

import asyncio
import os
import random
import secrets
import signal
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.db.embedded.postmaster import postmaster_pid
from tests.proof import checker
from tests.proof.crowds import kind
from tests.proof.figures import Figure, Scenario, at_least, at_most, exactly, none, told
from tests.proof.mixture import is_definite
from tests.proof.served import Served
from tests.proof.town import Town, Townsman
from tests.proof.wire import Answer, Ask, Dropped, Line, Refused, booking, status_change

CLIENTS = 16
SLOTS_OF_A_DOCTOR = 2000
CANCELLED_OF_ALL = 0.2
# A client's pause between two tries, as the contract's Retry-After would have it, but less patient.
RETRY_PAUSE_S = 0.05
KILL_WITHIN_S = 1.0
GAP_S_MAX = 15.0


@dataclass
class Tale:
    """What the clients were told."""

    booked: list[dict[str, Any]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    contradictions: int = 0
    odd: list[str] = field(default_factory=list)
    tries: int = 0
    retries: int = 0
    acknowledged: asyncio.Event = field(default_factory=asyncio.Event)


class Storm:
    """Clients that book and sometimes cancel, without a rest, until they are told to stop."""

    def __init__(self, served: Served, patients: list[Townsman], slots: list[int], seed: int) -> None:
        self.served, self.patients, self.seed = served, patients, seed
        self.slots = slots
        self.tale = Tale()
        self.is_over = False

    async def client(self, number: int) -> None:
        draw = random.Random(f"{self.seed}-{number}")
        patient, line = self.patients[number], Line(self.served.port)
        # Slots of one's own, a few shared with the neighbour: some bookings have to be refused.
        own = self.slots[number :: len(self.patients)]
        for slot_id in own:
            if self.is_over:
                break
            wanted = slot_id if draw.random() > 0.1 else draw.choice(self.slots[: number + 1])
            await self._book(draw, line, patient, wanted)
        line.close()

    async def _book(self, draw: random.Random, line: Line, patient: Townsman, slot_id: int) -> None:
        ask = booking(patient.token, slot_id, f"key-{draw.getrandbits(64):016x}")
        answer = await self._until_definite(line, ask)
        if draw.random() < 0.05:
            again = await self._until_definite(line, ask)
            self.tale.contradictions += again.told != answer.told
        if answer.status != 201:
            return
        self.tale.booked.append(answer.json())
        if draw.random() < CANCELLED_OF_ALL:
            id = answer.json()["id"]
            if (await self._until_definite(line, status_change(patient.token, id, "cancelled"))).status == 200:
                self.tale.cancelled.append(id)

    async def _until_definite(self, line: Line, ask: Ask) -> Answer:
        while True:
            self.tale.tries += 1
            with suppress(Refused, Dropped):
                answer = await line.ask(ask)
                if is_definite(answer) or answer.status == 200:
                    self.tale.acknowledged.set()
                    return answer
                if answer.status != 503:
                    self.tale.odd.append(kind(answer))
            self.tale.retries += 1
            await asyncio.sleep(RETRY_PAUSE_S)

    async def next_answer(self) -> None:
        """Wait until somebody gets a definite answer that came after now."""
        self.tale.acknowledged.clear()
        await self.tale.acknowledged.wait()


def kills(*, of_api: int, workers: int = 1, seed: int = 0) -> list[Figure]:
    """So many kills of the API, one of the postmaster, one of the keeper; then everybody has to be answered."""
    seed = seed or secrets.randbelow(2**32)
    print(f"kills: seed {seed}")
    with tempfile.TemporaryDirectory() as home, Served(Path(home), workers=workers) as served:
        with served.database() as database:
            town = Town(database.url("telemed_owner"))
            patients = town.people("patient", CLIENTS)
            slots = [
                slot
                for doctor in town.people("doctor", max(2, of_api // 2))
                for slot in town.slots(doctor, SLOTS_OF_A_DOCTOR)
            ]
        random.Random(seed).shuffle(slots)
        storm = Storm(served, patients, slots, seed)
        gaps = asyncio.run(_storm_with_kills(storm, of_api))
        with served.database():
            return _figures(town, storm.tale, gaps, of_api)


async def _storm_with_kills(storm: Storm, of_api: int) -> dict[str, list[float]]:
    draw = random.Random(f"{storm.seed}-kills")
    victims = ["API"] * of_api
    victims[of_api // 3 : of_api // 3] = ["PostgreSQL"]
    victims[2 * of_api // 3 : 2 * of_api // 3] = ["keeper"]
    gaps: dict[str, list[float]] = {victim: [] for victim in victims}
    clients = [asyncio.create_task(storm.client(number)) for number in range(CLIENTS)]
    await storm.next_answer()
    for victim in victims:
        # The moment of the kill is what is random here; nothing is waited for.
        await asyncio.sleep(draw.uniform(0, KILL_WITHIN_S))
        killed_at = time.monotonic()
        if victim == "API":
            storm.served.kill()
            storm.served.start()
        else:
            await _kill_database(storm.served, by_keeper=victim == "keeper")
        await storm.next_answer()
        gaps[victim].append(time.monotonic() - killed_at)
    storm.is_over = True
    await asyncio.gather(*clients)
    return gaps


async def _kill_database(served: Served, *, by_keeper: bool) -> None:
    """Kill the postmaster, or the keeper that takes it along; returns when another one is there."""
    old = served.postmaster_pid
    os.kill(served.keeper_pid if by_keeper else old, signal.SIGKILL)
    while postmaster_pid(served.layout.socket_lock) in {None, old}:
        await asyncio.sleep(0.005)


def _figures(town: Town, tale: Tale, gaps: dict[str, list[float]], of_api: int) -> list[Figure]:
    states = checker.states(town)
    of_all = sorted(gaps["API"])
    found = [
        exactly("kill -9 of the API", len(of_all), of_api),
        at_least("bookings acknowledged", len(tale.booked), of_api),
        told("tries", tale.tries),
        at_least("tries that had to be repeated", tale.retries, of_api),
        none("acknowledged bookings lost", checker.lost(town, tale.booked)),
        exactly("consultations in the table", len(states), len(tale.booked)),
        none("acknowledged cancellations lost", sum(states.get(id) != "cancelled" for id in tale.cancelled)),
        none("answers that changed under the same key", tale.contradictions),
        none(f"answers that are neither definite nor 503 {sorted(set(tale.odd))}", len(tale.odd)),
        told("kill of the API to the next answer, median, s", of_all[len(of_all) // 2]),
        at_most("kill of the API to the next answer, longest", of_all[-1], GAP_S_MAX, "s"),
    ]
    found += [
        at_most(f"kill of the {victim} to the next answer", max(gaps[victim]), GAP_S_MAX, "s")
        for victim in ("PostgreSQL", "keeper")
    ]
    return found + checker.violations(town)


KILLS = Scenario("kills", kills, short={"of_api": 2}, full={"of_api": 50}, is_seeded=True)
