"""A database that the tests of this folder may spoil: its address for the owner and for the superuser."""

import os
from collections.abc import Iterator

import pytest

from app.db import embedded
from tests.conftest import cloned


@pytest.fixture
def urls(postgres: embedded.Attachment) -> Iterator[tuple[str, str]]:
    name = f"sealed_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    with cloned(postgres, name) as url:
        yield url, postgres.url("postgres", name)
