"""Many at once: a thousand patients on one slot, five hundred retries under one key."""

import asyncio
import gc
import tempfile
import time
import uuid
from collections import Counter
from contextlib import suppress
from pathlib import Path

from tests.proof import checker
from tests.proof.figures import Figure, Scenario, at_most, exactly, none
from tests.proof.served import Served
from tests.proof.town import Town
from tests.proof.wire import Answer, Ask, Dropped, Line, booking, opened

ROUND_S_MAX = 15


async def at_once(lines: list[Line], asks: list[Ask]) -> list[Answer | None]:
    """All requests, each on a connection of its own; their last bytes leave together. `None`: no whole answer."""
    release = asyncio.Barrier(len(asks))

    async def one(line: Line, ask: Ask) -> Answer | None:
        with suppress(Dropped):
            return await line.ask(ask, release=release)
        return None

    return await asyncio.gather(*(one(line, ask) for line, ask in zip(lines, asks, strict=True)))


def one_slot(*, clients: int, rounds: int, served: Served | None = None) -> list[Figure]:
    """Each round: one open slot, `clients` patients, one winner."""
    if served is None:
        with tempfile.TemporaryDirectory() as home, Served(Path(home)) as fresh:
            return one_slot(clients=clients, rounds=rounds, served=fresh)
    with served.database() as database:
        town = Town(database.url("telemed_owner"))
        patients = town.people("patient", clients)
        slots = town.slots(town.people("doctor", 1)[0], rounds)
        answers: Counter[str] = Counter()
        rounds_won_once = 0
        longest_s = 0.0

        async def storm() -> None:
            nonlocal rounds_won_once, longest_s
            for slot_id in slots:
                lines = await opened(served.port, clients)
                asks = [booking(patient.token, slot_id, f"key-{uuid.uuid4()}") for patient in patients]
                started = time.monotonic()
                found = await at_once(lines, asks)
                longest_s = max(longest_s, time.monotonic() - started)
                statuses = Counter(kind(answer) for answer in found)
                answers.update(statuses)
                rounds_won_once += statuses["201"] == 1
                for line in lines:
                    line.close()

        asyncio.run(storm())
        booked = len(checker.states(town))
        found = [
            exactly(f"rounds of {clients} clients on one slot with exactly one 201", rounds_won_once, rounds),
            exactly(
                "other answers that are 409 slot_unavailable", answers["409 slot_unavailable"], rounds * (clients - 1)
            ),
            none(
                "answers of any other kind, and none at all",
                sum(answers.values()) - answers["201"] - answers["409 slot_unavailable"],
            ),
            exactly("consultations in the table", booked, rounds),
            at_most("longest round", longest_s, ROUND_S_MAX, "s"),
            none("errors in the server's log", len(served.errors_logged())),
            *checker.violations(town),
        ]
    gc.collect()
    return found


def one_key(*, clients: int, rounds: int, served: Served | None = None) -> list[Figure]:
    """Each round: one patient sends one booking `clients` times at once under one key."""
    if served is None:
        with tempfile.TemporaryDirectory() as home, Served(Path(home)) as fresh:
            return one_key(clients=clients, rounds=rounds, served=fresh)
    with served.database() as database:
        town = Town(database.url("telemed_owner"))
        [patient] = town.people("patient", 1)
        slots = town.slots(town.people("doctor", 1)[0], rounds)
        answers: Counter[str] = Counter()
        rounds_alike = firsts = 0
        longest_s = 0.0

        async def storm() -> None:
            nonlocal rounds_alike, firsts, longest_s
            for slot_id in slots:
                lines = await opened(served.port, clients)
                ask = booking(patient.token, slot_id, f"key-{uuid.uuid4()}")
                started = time.monotonic()
                found = await at_once(lines, [ask] * clients)
                longest_s = max(longest_s, time.monotonic() - started)
                answers.update(kind(answer) for answer in found)
                rounds_alike += len({answer.content for answer in found if answer}) == 1
                firsts += sum(answer is not None and answer.status == 201 and not answer.is_replay for answer in found)
                for line in lines:
                    line.close()

        asyncio.run(storm())
        return [
            exactly(f"answers of 201 to one key x {clients} at once", answers["201"], rounds * clients),
            exactly("rounds in which all bytes were equal", rounds_alike, rounds),
            exactly("answers that are no replay", firsts, rounds),
            exactly("consultations in the table", len(checker.states(town)), rounds),
            at_most("longest round", longest_s, ROUND_S_MAX, "s"),
            none("errors in the server's log", len(served.errors_logged())),
            *checker.violations(town),
        ]


def kind(answer: Answer | None) -> str:
    if answer is None:
        return "none"
    return f"{answer.status} {answer.code or ''}".strip()


ONE_SLOT = Scenario("one-slot", one_slot, short={"clients": 200, "rounds": 2}, full={"clients": 1000, "rounds": 20})
ONE_KEY = Scenario("one-key", one_key, short={"clients": 100, "rounds": 2}, full={"clients": 500, "rounds": 10})
