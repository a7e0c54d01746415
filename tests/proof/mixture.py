"""Workers that book, retry, cancel and complete the same few things at the same time, then a look at the tables.

What they do is drawn from the seed, each worker from its own stream; how they interleave is up to the machine.
"""

import asyncio
import random
import secrets
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.cast import iso, tomorrow
from tests.proof import checker
from tests.proof.crowds import kind
from tests.proof.figures import Figure, Scenario, at_least, exactly, none, told
from tests.proof.served import Served
from tests.proof.town import Town, Townsman
from tests.proof.wire import Answer, Ask, Dropped, Line, booking, status_change

PATIENTS, DOCTORS, SLOTS_EACH = 6, 4, 24
# Keys that are still being tried: few, so that workers meet under them.
KEYS_IN_HAND = 24
CONSULTATIONS_IN_HAND = 30
# Beyond the first slots, so that an offered one never overlaps by accident.
FIRST_OFFER = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Try:
    """One booking that a worker sent: who, under which key, for which slot."""

    patient: Townsman
    key: str
    slot_id: int


@dataclass
class Diary:
    """What the workers were told."""

    answers: dict[tuple[str, str], list[tuple[int, Answer]]] = field(default_factory=lambda: defaultdict(list))
    changes: list[tuple[str, str, Answer]] = field(default_factory=list)
    offered: list[int] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0


class Mixture:
    """A small clinic and what happens in it."""

    def __init__(self, served: Served, town: Town, seed: int) -> None:
        self.served, self.town, self.seed = served, town, seed
        self.patients = town.people("patient", PATIENTS)
        self.doctors = town.people("doctor", DOCTORS)
        [self.admin] = town.people("admin", 1)
        # A quarter of an hour apart: whoever has one doctor's slot can't have the next doctor's.
        self.slots = [
            slot
            for index, doctor in enumerate(self.doctors)
            for slot in town.slots(doctor, SLOTS_EACH, shift_minutes=15 * index)
        ]
        self.by_id = {str(person.id): person for person in [*self.patients, *self.doctors]}
        self.in_hand: list[Try] = []
        self.consultations: list[dict[str, Any]] = []
        self.offers = 0
        self.diary = Diary()

    async def worker(self, number: int, until: float) -> None:
        draw = random.Random(f"{self.seed}-{number}")
        line = Line(self.served.port)
        while time.monotonic() < until:
            await self._act(draw, line)
        line.close()

    async def _act(self, draw: random.Random, line: Line) -> None:
        dice = draw.random()
        if dice < 0.45 or not self.in_hand:
            attempt = Try(
                draw.choice(self.patients), f"key-{draw.getrandbits(64):016x}", draw.choice(self.slots[-120:])
            )
            self.in_hand = [*self.in_hand[-KEYS_IN_HAND:], attempt]
            await self._book(line, attempt)
        elif dice < 0.65:
            await self._book(line, draw.choice(self.in_hand))
        elif dice < 0.70:
            known = draw.choice(self.in_hand)
            await self._book(line, Try(known.patient, known.key, draw.choice(self.slots)))
        elif dice < 0.75:
            # The same key in somebody else's hand is another key.
            known = draw.choice(self.in_hand)
            await self._book(line, Try(draw.choice(self.patients), known.key, known.slot_id))
        elif dice < 0.77:
            await self._offer(line, draw.choice(self.doctors))
        elif self.consultations:
            await self._change(draw, line, draw.choice(self.consultations))

    async def _book(self, line: Line, attempt: Try) -> None:
        answer = await self._ask(line, booking(attempt.patient.token, attempt.slot_id, attempt.key))
        if answer is None:
            return
        self.diary.answers[str(attempt.patient.id), attempt.key].append((attempt.slot_id, answer))
        if answer.status == 201:
            self.consultations = [*self.consultations[-CONSULTATIONS_IN_HAND:], answer.json()]

    async def _change(self, draw: random.Random, line: Line, consultation: dict[str, Any]) -> None:
        doctor, patient = self.by_id[consultation["doctor_id"]], self.by_id[consultation["patient_id"]]
        person, status = draw.choice([
            (patient, "cancelled"), (patient, "cancelled"), (patient, "cancelled"), (doctor, "cancelled"),
            (self.admin, "cancelled"), (doctor, "completed"),
        ])  # fmt: skip
        answer = await self._ask(line, status_change(person.token, consultation["id"], status))
        if answer is not None:
            self.diary.changes.append((consultation["id"], status, answer))

    async def _offer(self, line: Line, doctor: Townsman) -> None:
        self.offers += 1
        starts_at: datetime = tomorrow() + FIRST_OFFER + self.offers * timedelta(minutes=15)
        body = {"starts_at": iso(starts_at), "ends_at": iso(starts_at + timedelta(minutes=30))}
        answer = await self._ask(line, Ask("POST", "/availability/", doctor.token, body))
        if answer is not None and answer.status == 201:
            self.slots.append(answer.json()["id"])
            self.diary.offered.append(answer.json()["id"])

    async def _ask(self, line: Line, ask: Ask) -> Answer | None:
        try:
            answer = await line.ask(ask)
        except Dropped:
            self.diary.unanswered += 1
            return None
        self.diary.counts[f"{ask.method} {kind(answer)}"] += 1
        return answer


def is_definite(answer: Answer) -> bool:
    """Whether the answer belongs to the key for good."""
    return answer.status == 201 or (answer.status in (404, 409) and answer.code != "idempotency_in_flight")


def broken_promises(diary: Diary) -> dict[str, int]:
    """What clients were told under one key, held against each other."""
    broken = Counter[str]()
    for tries in diary.answers.values():
        definite = [(slot_id, answer) for slot_id, answer in tries if is_definite(answer)]
        bodies = {slot_id for slot_id, _ in definite}
        broken["keys with two different definite answers"] += len({answer.told for _, answer in definite}) > 1
        broken["keys that answered to two bodies"] += len(bodies) > 1
        broken["keys refused once and booked another time"] += {201} < {answer.status for _, answer in definite}
        broken["keys with two first answers"] += sum(not answer.is_replay for _, answer in definite) > 1
        broken["other bodies under a used key that were not refused as such"] += sum(
            answer.status != 422 for slot_id, answer in tries if bodies and slot_id not in bodies
        )
        broken["first bodies that were refused as other ones"] += sum(
            answer.status == 422 for slot_id, answer in tries if slot_id in bodies
        )
    return dict(broken)


def mixture(*, workers: int, seconds: int, seed: int = 0, served: Served | None = None) -> list[Figure]:
    """`workers` at it for so many seconds, and everything that must hold afterwards."""
    if served is None:
        with tempfile.TemporaryDirectory() as home, Served(Path(home)) as fresh:
            return mixture(workers=workers, seconds=seconds, seed=seed, served=fresh)
    seed = seed or secrets.randbelow(2**32)
    print(f"mixture: seed {seed}")
    with served.database() as database:
        town = Town(database.url("telemed_owner"))
        storm = Mixture(served, town, seed)

        async def run() -> None:
            until = time.monotonic() + seconds
            await asyncio.gather(*(storm.worker(number, until) for number in range(workers)))

        asyncio.run(run())
        return _figures(served, town, storm.diary, len(storm.slots))


def _figures(served: Served, town: Town, diary: Diary, slots: int) -> list[Figure]:
    acknowledged = [answer.json() for tries in diary.answers.values() for _, answer in tries if answer.status == 201]
    states = checker.states(town)
    changed = [(id, status) for id, status, answer in diary.changes if answer.status == 200]
    statuses = Counter[int]()
    for name, count in diary.counts.items():
        statuses[int(name.split()[1])] += count
        print(f"  {name:<44} {count:>8,}")
    with town.tables() as tables:
        row = tables.execute(
            "SELECT count(*) FROM audit_logs WHERE clinic_id = %s AND entity_type = 'slot'", [town.clinic_id]
        ).fetchone()
        assert row is not None
    return [
        at_least("requests", statuses.total(), 1),
        none("requests without an answer", diary.unanswered),
        none("answers of 5xx", sum(count for status, count in statuses.items() if status >= 500)),
        # Nobody here holds a key for 2 s, so nobody has a reason to say so.
        none("answers of 409 idempotency_in_flight", diary.counts["POST 409 idempotency_in_flight"]),
        none("errors in the server's log", len(served.errors_logged())),
        told("bookings acknowledged", len({booked["id"] for booked in acknowledged})),
        none("acknowledged bookings lost", checker.lost(town, acknowledged)),
        exactly("consultations in the table", len(states), len({booked["id"] for booked in acknowledged})),
        none("acknowledged changes lost", sum(states[id] != status for id, status in changed)),
        exactly("audit rows of slots", int(str(row[0])), len(diary.offered)),
        *(none(what, count) for what, count in broken_promises(diary).items()),
        *checker.violations(town),
    ]


MIXTURE = Scenario(
    "mixture", mixture, short={"workers": 16, "seconds": 4}, full={"workers": 32, "seconds": 60}, is_seeded=True
)
