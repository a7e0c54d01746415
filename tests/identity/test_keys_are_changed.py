"""`docs/keys.md`, followed step by step on two servers that share a database: no request fails."""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import jwt
import pytest
from starlette.testclient import TestClient

from app.db import embedded
from app.identity.rules import Principal
from app.identity.tokens import AccessTokens
from app.main import create_app
from tests.cast import Clinic, Person, found_clinic
from tests.conftest import SECRET_KEY, cloned, settings_for

OLD, NEW, PEPPER = SECRET_KEY, SECRET_KEY[::-1], "the-pepper-stays-0123456789-abcdefghijklmnop"
# SECRET_KEY and SECRET_KEYS_ACCEPTED of every step.
STEPS = [(OLD, ""), (OLD, NEW), (NEW, OLD), (NEW, "")]


@pytest.fixture
def url(postgres: embedded.Attachment) -> Iterator[str]:
    with cloned(postgres, f"keys_changed_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}") as url:
        yield url


@contextmanager
def server(url: str, secret_key: str, accepted: str, *, pepper: str = PEPPER) -> Iterator[TestClient]:
    settings = settings_for(url, secret_key=secret_key, secret_keys_accepted=accepted, pepper=pepper)
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


def at(client: TestClient, person: Person) -> Person:
    """The same person, with the same tokens, at another server."""
    clinic = Clinic(client, person.clinic.slug, person.clinic.id)
    there = Person(clinic, email=person.email)
    there.token, there.refresh_token = person.token, person.refresh_token
    return there


def test_tokens_of_each_server_are_good_at_the_other_during_every_step(url: str) -> None:
    for before, after in itertools.pairwise(STEPS):
        with server(url, *before) as first, server(url, *after) as second:
            clinic = found_clinic(first)
            for made_at, used_at in ((first, second), (second, first)):
                amara = at(made_at, clinic.amara).logs_in()
                there = at(used_at, amara)
                there.gets("/users/me", expect=200)
                there.posts("/auth/refresh", {"refresh_token": amara.refresh_token}, expect=200)
                # The answer was lost; the other server gives the same successor.
                at(made_at, amara).posts("/auth/refresh", {"refresh_token": amara.refresh_token}, expect=200)


def test_page_that_one_server_began_is_continued_by_the_other(url: str) -> None:
    with server(url, *STEPS[1]) as first, server(url, *STEPS[2]) as second:
        clinic = found_clinic(first)
        assert clinic.paul
        cursor = clinic.amara.gets("/users/", params={"limit": 1}, expect=200).json()["next_cursor"]
        at(second, clinic.amara).gets("/users/", params={"limit": 1, "cursor": cursor}, expect=200)


def test_key_that_is_no_longer_accepted_opens_nothing(url: str) -> None:
    with server(url, OLD, "") as first, server(url, NEW, "") as second:
        answer = at(second, found_clinic(first).amara).gets("/users/me")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


def test_without_a_pepper_the_old_secret_becomes_it(url: str) -> None:
    with server(url, OLD, "", pepper="") as first, server(url, NEW, OLD, pepper=OLD) as second:
        clinic = found_clinic(first)
        at(second, clinic.amara).logs_in().gets("/users/me", expect=200)


def test_token_without_a_key_id_is_of_the_signing_key_wherever_that_is_listed() -> None:
    tokens = AccessTokens(OLD, "HS256", timedelta(minutes=1), (OLD, NEW))
    principal = Principal(1, uuid4(), "patient", uuid4(), 1)
    claims = jwt.decode(tokens.issue(principal, now=datetime.now(UTC)), options={"verify_signature": False})
    of_an_older_release = jwt.encode(claims, OLD, algorithm="HS256", headers={"typ": "at+jwt"})
    assert tokens.read(of_an_older_release) == principal
