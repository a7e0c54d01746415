"""A bug is 500, says nothing about itself, and the next request is served."""

from collections.abc import Iterator

import psycopg
import pytest

from app.db import embedded
from tests.cast import Clinic
from tests.conftest import apart


@pytest.fixture
def broken(postgres: embedded.Attachment) -> Iterator[Clinic]:
    """A clinic whose database lacks a column that the application asks for."""
    with apart(postgres, "broken") as (clinic, superuser_url):
        assert clinic.paul.id
        with psycopg.connect(superuser_url) as superuser:
            superuser.execute("ALTER TABLE consultations RENAME COLUMN cancel_reason TO secret_column")
        yield clinic


def test_bug_is_a_problem_that_tells_nothing(broken: Clinic) -> None:
    answer = broken.paul.gets("/consultations/my", headers={"X-Request-ID": "the-request"}, expect=500)
    problem = answer.json()
    assert (problem["code"], problem["request_id"]) == ("internal_error", "the-request")
    for told in ("cancel_reason", "column", "psycopg", "Traceback"):
        assert told not in answer.text


def test_bug_does_not_harm_the_next_request(broken: Clinic) -> None:
    for _ in range(20):
        broken.paul.gets("/consultations/my", expect=500)
    broken.paul.gets("/users/me", expect=200)
