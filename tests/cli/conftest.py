from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.home import Home
from tests.proof.served import SECRET_KEY, Served


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A data folder that nobody has used."""
    return Home(tmp_path)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`telemed serve`, on a data folder of its own."""
    with Served(tmp_path_factory.mktemp("served")) as served:
        yield served


@pytest.fixture
def beside(served: Served) -> Home:
    """A second terminal beside `served`."""
    return Home(served.home, SECRET_KEY=SECRET_KEY)
