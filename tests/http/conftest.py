"""A served application for those who look at bytes."""

from collections.abc import Iterator

import pytest

from tests.http.served import Address, served


@pytest.fixture(scope="module")
def address(database_url: str) -> Iterator[Address]:
    with served(database_url) as address:
        yield address
