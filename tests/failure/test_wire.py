"""The wire to PostgreSQL breaks: `make proof ARGS="cuts"` breaks it at every message, in every way."""

import asyncio

import pytest

from tests.failure import deeds, house
from tests.failure.conftest import InHouse
from tests.failure.house import House
from tests.failure.story import Make, Story
from tests.failure.wire import BLACKHOLE, DELAY, Fault
from tests.proof.cuts import ANSWER_S_MAX, CUTS, DEFINITE_S_MAX
from tests.proof.figures import missed

SYNC, QUERY = "S", "Q"


async def broken_at(at: House, make: Make, fault: Fault) -> Story:
    """Whoever asked while the wire broke, and then again until there was an answer."""
    story = Story(await make(at.world))
    await at.with_fresh_connections()
    at.wire.fault = fault
    async with asyncio.timeout(ANSWER_S_MAX):
        first = await story.ask(at.ask)
    assert fault.is_done
    assert first is not None
    assert (first.status, first.code) == (503, "unavailable")
    await story.ask_until_definite(at.ask, within_s=DEFINITE_S_MAX)
    return story


def test_wire_that_breaks_anywhere_loses_and_doubles_nothing(database_url: str) -> None:
    assert not missed(CUTS.figures(is_short=True, url=database_url))


@pytest.mark.parametrize("command", ["BEGIN", "COMMIT"])
def test_transaction_whose_begin_or_commit_is_swallowed_is_503_in_time(in_a_house: InHouse, command: str) -> None:
    async def story(at: House) -> None:
        fault = Fault(0, BLACKHOLE, lambda message: message.statement == command and message.kind == QUERY)
        told = await broken_at(at, deeds.refresh, fault)
        assert not told.broken(at.world)

    in_a_house(story)


def test_locks_behind_a_wire_that_died_within_a_statement_are_given_back(in_a_house: InHouse) -> None:
    async def story(at: House) -> None:
        if not await at.knows_transaction_timeout():
            pytest.skip("PostgreSQL 15 and 16 hear from the kernel that a client is gone; no test can wait for that")
        last = Fault(0, BLACKHOLE, lambda message: house.of_a_request(message) and message.kind == SYNC)
        told = await broken_at(at, deeds.book, last)
        assert not told.broken(at.world)

    in_a_house(story)


def test_process_that_stood_still_within_a_transaction_is_503(in_a_house: InHouse) -> None:
    async def story(at: House) -> None:
        # The first statement after BEGIN: it is asked, but PostgreSQL has given up waiting for it when it arrives.
        late = Fault(0, DELAY, lambda message: house.of_a_request(message) and message.kind == "P", delay_s=0.9)
        told = await broken_at(at, deeds.refresh, late)
        assert not told.broken(at.world)

    in_a_house(story)
