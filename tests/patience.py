"""Promises with a deadline, and many callers at one moment. Nothing here waits for a fixed time."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import psycopg

from tests.cast import Person

Result = TypeVar("Result")

DEADLINE_S = 1.0
PAUSE_S = 0.02


def assert_refused_within_a_second(person: Person) -> None:
    """The person's access token must be worth nothing to any request that begins a second from now or later."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        began = time.monotonic()
        response = person.gets("/users/me")
        if response.status_code == 401:
            assert response.json()["code"] == "unauthenticated"
            return
        assert began < deadline, "the token was still good after a second"
        time.sleep(PAUSE_S)


def assert_still_admitted_after_a_second(person: Person) -> None:
    """The person's access token must outlive the second in which others end."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        person.gets("/users/me", expect=200)
        time.sleep(PAUSE_S)


def wait_for_blocked(owner: psycopg.Connection, *, count: int) -> None:
    """Come back when that many sessions of this database wait for a lock."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        owner.execute("SELECT pg_stat_clear_snapshot()")
        row = owner.execute(
            "SELECT count(DISTINCT pid) FROM pg_locks JOIN pg_stat_activity USING (pid) "
            "WHERE NOT granted AND datname = current_database()"
        ).fetchone()
        if row == (count,):
            return
        assert time.monotonic() < deadline, f"{row} sessions wait, not {count}"
        time.sleep(PAUSE_S)


def at_once(actions: list[Callable[[], Result]]) -> list[Result]:
    """What the actions return, all begun at one moment, each in a thread of its own."""
    barrier = threading.Barrier(len(actions))

    def run(action: Callable[[], Result]) -> Result:
        barrier.wait()
        return action()

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(run, actions))


def eventually(holds: Callable[[], bool], *, within_s: float = DEADLINE_S) -> None:
    """Come back when it holds."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(PAUSE_S)
