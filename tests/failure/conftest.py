"""Houses whose wires can be broken; see `house.py`."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from tests.failure import house
from tests.failure.house import House

InHouse = Callable[[Callable[[House], Awaitable[None]]], None]


@pytest.fixture
def in_a_house(database_url: str) -> Iterator[InHouse]:
    """Runs a story in a house on this worker's database, with time-outs that a test can sit through."""

    async def run(story: Callable[[House], Awaitable[None]]) -> None:
        async with house.opened(database_url) as at:
            await story(at)

    with house.impatient():
        yield lambda story: asyncio.run(run(story))
