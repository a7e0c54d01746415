"""Refresh tokens that expired, and sessions that have none left."""

from typing import Any

import psycopg
import pytest

from app.db import turns
from tests.cast import Clinic, Person
from tests.worker.house import works


def session_of(owner: psycopg.Connection[Any], person: Person) -> str:
    """The person's latest session."""
    row = owner.execute(
        "SELECT id FROM sessions WHERE clinic_id = %s AND user_id = %s ORDER BY created_at DESC",
        [person.clinic.id, person.id],
    ).fetchone()
    assert row is not None
    return str(row[0])


def expire(owner: psycopg.Connection[Any], session_id: str, *, hours_ago: float, only_used: bool = False) -> None:
    """The session's tokens expired so long ago."""
    owner.execute(
        "UPDATE refresh_tokens SET expires_at = now() - make_interval(secs => %s) WHERE session_id = %s"
        " AND (used_at IS NOT NULL OR NOT %s)",
        [3600 * hours_ago, session_id, only_used],
    )


def left_of(owner: psycopg.Connection[Any], session_id: str) -> tuple[int, int]:
    """How many rows of the session there are, and how many tokens."""
    row = owner.execute(
        "SELECT (SELECT count(*) FROM sessions WHERE id = %(id)s),"
        " (SELECT count(*) FROM refresh_tokens WHERE session_id = %(id)s)",
        {"id": session_id},
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def refreshes(person: Person, *, expect: int = 200) -> None:
    answer = person.posts("/auth/refresh", {"refresh_token": person.refresh_token}, expect=expect)
    if expect == 200:
        person.refresh_token = answer.json()["refresh_token"]


def test_session_without_a_good_token_is_forgotten(clinic: Clinic, owner: psycopg.Connection) -> None:
    session_id = session_of(owner, clinic.paul)
    refreshes(clinic.paul)
    assert left_of(owner, session_id) == (1, 2)
    expire(owner, session_id, hours_ago=24.1)
    works(clinic)
    assert left_of(owner, session_id) == (0, 0)
    refreshes(clinic.paul, expect=401)


def test_session_is_remembered_while_an_access_token_may_be_good(clinic: Clinic, owner: psycopg.Connection) -> None:
    """A new password must find it, to end it."""
    session_id = session_of(owner, clinic.paul)
    expire(owner, session_id, hours_ago=23.9)
    works(clinic)
    assert left_of(owner, session_id) == (1, 1)


def test_session_in_use_loses_its_expired_tokens_only(clinic: Clinic, owner: psycopg.Connection) -> None:
    session_id = session_of(owner, clinic.paul)
    refreshes(clinic.paul)
    refreshes(clinic.paul)
    expire(owner, session_id, hours_ago=25, only_used=True)
    works(clinic)
    assert left_of(owner, session_id) == (1, 1)
    refreshes(clinic.paul)


def test_session_goes_with_the_last_batch_of_its_tokens(
    clinic: Clinic, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "BATCH_ROWS", 2)
    monkeypatch.setattr(turns, "PAUSE_S", 0.001)
    session_id = session_of(owner, clinic.paul)
    for _ in range(4):
        refreshes(clinic.paul)
    expire(owner, session_id, hours_ago=25)
    works(clinic)
    assert left_of(owner, session_id) == (0, 0)
