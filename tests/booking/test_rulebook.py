"""The booking rules under whatever is done in whatever order; `python -m tests.proof model` does far more of it."""

from collections.abc import Iterator

import psycopg
import pytest

from app.db import embedded
from tests.booking.machine import PAST_TRIGGERS, World
from tests.conftest import apart
from tests.proof.figures import missed
from tests.proof.model import MODEL, SETTINGS, compare


@pytest.fixture(scope="module")
def world(postgres: embedded.Attachment) -> Iterator[World]:
    with (
        apart(postgres, "rulebook", **SETTINGS) as (clinic, url),
        psycopg.connect(url, autocommit=True, options=PAST_TRIGGERS) as boss,
    ):
        yield World(clinic, boss)


def test_no_answer_contradicts_the_rulebook(world: World) -> None:
    assert not missed(compare(world, **MODEL.short))
