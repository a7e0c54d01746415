"""Everything breaks at once, again and again, while clients write: what they were told must be there in the end, once.

What breaks, and after which write, is drawn from the seed; which request it meets, and when, is up to the machine.
"""

import asyncio
import random
import secrets
import tempfile
import time
from pathlib import Path

from app.db import embedded, migrate
from tests.failure.nursery import Nursery
from tests.failure.wire import Wire
from tests.proof import checker
from tests.proof.breaker import OWNER, Breaker
from tests.proof.figures import Figure, Scenario, at_least, at_most, exactly, none, told
from tests.proof.town import Town, Townsman
from tests.proof.writers import CLIENTS, WRITES_A_BOOKING, Writers

REPLICAS = 2
# The pools of two replicas, and few besides, so that they can be taken away.
CONNECTIONS_MAX = 48
SLOTS_OF_A_DOCTOR = 1500
SILENCE_S_MAX = 15.0
# And a twentieth of the writes: a breaker that stands still would let most of them pass in peace.
LAG_MAX = 200
# A short run is over while a process starts anew.
WRITES_TO_LAG_BY = 10_000


def faults(*, writes: int, counts: dict[str, int], seed: int = 0) -> list[Figure]:
    """`writes` of them acknowledged, while so many things of each kind break."""
    seed = seed or secrets.randbelow(2**32)
    print(f"faults: seed {seed}")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        parameters = {"max_connections": str(CONNECTIONS_MAX)}
        with embedded.attach(Path(home, "postgres"), parameters=parameters) as database:
            migrate.upgrade(database.url(OWNER), app_role="telemed_app")
            town = Town(database.url(OWNER))
            writers = Writers([], _pairs(town, writes), writes, seed)
            print(f"  set up in {time.monotonic() - started:.0f} s", flush=True)
            breaker, took_s = asyncio.run(_storm(Path(home), database, writers, counts, seed))
            return _figures(town, writers, counts, breaker, took_s)


def _pairs(town: Town, writes: int) -> list[tuple[Townsman, Townsman, list[int]]]:
    # Three in ten more than needed: some are lost to strays, some written while the last faults come.
    bookings = int(1.3 * writes / WRITES_A_BOOKING)
    each = min(SLOTS_OF_A_DOCTOR, bookings // CLIENTS + 20)
    count = CLIENTS * -(-bookings // (each * CLIENTS))
    doctors, patients = town.people("doctor", count), town.people("patient", count)
    return [(doctor, patient, town.slots(doctor, each)) for doctor, patient in zip(doctors, patients, strict=True)]


async def _storm(
    home: Path, database: embedded.Attachment, writers: Writers, counts: dict[str, int], seed: int
) -> tuple[Breaker, float]:
    async with Wire(database.url(OWNER)) as wire:
        with Nursery(home, wire.through) as nursery:
            ports = [nursery.new_port() for _ in range(REPLICAS)]
            replicas = {port: await nursery.start(port) for port in ports}
            writers.ports.extend(ports)
            breaker = Breaker(database, nursery, wire, writers, replicas, random.Random(f"{seed}-breaker"))
            started = time.monotonic()
            writers.tale.begins()
            async with asyncio.TaskGroup() as tasks:
                breaking = tasks.create_task(breaker.run(counts))
                tasks.create_task(_tell(writers, breaker, started))
                for number in range(CLIENTS):
                    tasks.create_task(writers.client(number))
            took_s = time.monotonic() - started
            assert breaking.done()
            return breaker, took_s


async def _tell(writers: Writers, breaker: Breaker, started: float) -> None:
    """A line now and then: it takes minutes."""
    for tenth in range(1, 10):
        while writers.tale.writes < tenth * writers.writes / 10:
            await asyncio.sleep(0.1)
        took_s = time.monotonic() - started
        print(f"  {writers.tale.writes:,} writes, {breaker.done.total():,} faults, {took_s:.0f} s", flush=True)


def _figures(town: Town, writers: Writers, counts: dict[str, int], breaker: Breaker, took_s: float) -> list[Figure]:
    tale, states = writers.tale, checker.states(town)
    with town.tables() as tables:
        prescriptions = {
            str(row[0]): str(row[1])
            for row in tables.execute(
                "SELECT id, consultation_id FROM prescriptions WHERE clinic_id = %s", [town.clinic_id]
            )
        }
    ended = {*tale.cancelled, *tale.completed}
    return [
        at_least("writes acknowledged", tale.writes, writers.writes),
        told("seconds", took_s),
        told("writes a second", tale.writes / took_s),
        *(exactly(what, breaker.done[what], count) for what, count in counts.items()),
        _lag(breaker, writers),
        told(f"tries that had to be repeated {dict(tale.again)}", tale.again.total()),
        told(f"refusals {dict(tale.refused)}", tale.refused.total()),
        none("acknowledged bookings lost", checker.lost(town, tale.booked)),
        exactly("consultations in the table", len(states), len({booked["id"] for booked in tale.booked})),
        none("acknowledged cancellations lost", sum(states.get(id) != "cancelled" for id in tale.cancelled)),
        none("acknowledged completions lost", sum(states.get(id) != "completed" for id in tale.completed)),
        none("consultations that ended and nobody heard so", sum(
            status != "scheduled" and id not in ended for id, status in states.items()
        )),
        none("acknowledged prescriptions lost", sum(
            prescriptions.get(issued["id"]) != issued["consultation_id"] for issued in tale.prescribed
        )),
        exactly("prescriptions in the table", len(prescriptions), len({issued["id"] for issued in tale.prescribed})),
        none("answers that changed under the same key", tale.contradictions),
        none(f"answers that are neither definite nor 503 {dict(tale.odd)}", tale.odd.total()),
        at_most("longest time in which nobody was answered", tale.longest_silence_s, SILENCE_S_MAX, "s"),
        *checker.violations(town),
    ]  # fmt: skip


def _lag(breaker: Breaker, writers: Writers) -> Figure:
    name = "writes by which a fault came later than due"
    if writers.writes < WRITES_TO_LAG_BY:
        return told(name, breaker.longest_lag)
    return at_most(name, breaker.longest_lag, LAG_MAX + writers.writes // 20)


FAULTS = Scenario(
    "faults",
    faults,
    short={
        "writes": 300,
        "counts": {
            "kill -9 of an API process": 4,
            "kill -9 of PostgreSQL": 1,
            "all wires cut": 1,
            "a wire cut": 2,
            "a wire reset": 2,
            "a wire torn": 2,
            "a lock held": 1,
            "connections used up": 1,
        },
    },
    full={
        "writes": 100_000,
        "counts": {
            "kill -9 of an API process": 1_000,
            "kill -9 of PostgreSQL": 40,
            "all wires cut": 60,
            "a wire cut": 150,
            "a wire reset": 150,
            "a wire torn": 150,
            "a wire blackhole": 30,
            "a lock held": 60,
            "a table held, and all connections with it": 20,
            "connections used up": 20,
        },
    },
    is_seeded=True,
)
