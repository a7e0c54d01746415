"""The storms of `tests/proof`, short: real processes, real commits, real kills."""

from collections.abc import Iterator

import pytest

from tests.proof.served import Served


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One `telemed serve` for all storms that leave it alive; each has a clinic of its own."""
    with Served(tmp_path_factory.mktemp("served")) as served:
        yield served
