"""The clock of a serving process jumps by a day, while PostgreSQL's goes on: nothing hangs, nothing is a bug of ours.

Whoever has a token from before logs in again; what is decided inside a statement is decided by PostgreSQL's clock.
"""

import time as real_time
from datetime import UTC, datetime, timedelta, tzinfo
from types import SimpleNamespace

import jwt.api_jwt
import pytest

from app.identity import tokens
from app.kit import clock
from tests.cast import Clinic, fresh_key, iso, some_time

JUMPS = [timedelta(days=1), timedelta(days=-1)]
# A wait that was measured with this clock would take a day.
REQUESTS_S_MAX = 10.0


def jump(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    """All three clocks that the application reads: its own, and those of the token's two checks."""

    class AsBefore(type):
        def __instancecheck__(cls, moment: object) -> bool:
            return isinstance(moment, datetime)

    class Jumped(datetime, metaclass=AsBefore):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + by

    monkeypatch.setattr(clock, "now", lambda: datetime.now(UTC) + by)
    monkeypatch.setattr(tokens, "time", SimpleNamespace(time=lambda: real_time.time() + by.total_seconds()))
    monkeypatch.setattr(jwt.api_jwt, "datetime", Jumped)


@pytest.mark.parametrize("by", JUMPS, ids=["forward", "back"])
def test_tokens_from_before_a_jump_are_refused_and_new_ones_are_good(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, by: timedelta
) -> None:
    paul = clinic.paul
    jump(monkeypatch, by)
    paul.gets("/users/me", expect=401)
    paul.logs_in().gets("/users/me", expect=200)
    # Of refresh tokens PostgreSQL's clock decides, and it has not jumped.
    paul.posts("/auth/refresh", {"refresh_token": paul.refresh_token}, expect=200)


@pytest.mark.parametrize("by", JUMPS, ids=["forward", "back"])
def test_slots_are_booked_and_cancelled_by_postgresqls_clock(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, by: timedelta
) -> None:
    dora, paul, slot, key = clinic.dora, clinic.paul, clinic.dora.offers(), fresh_key()
    jump(monkeypatch, by)
    for person in (dora, paul):
        person.logs_in()
    booked = paul.books(slot, key=key, expect=201)
    assert paul.books(slot, key=key, expect=201).content == booked.content
    paul.cancels(booked.json(), expect=200)
    # A moment that both clocks hold for the future.
    another = paul.has_booked(dora.offers(some_time() + timedelta(days=2)))
    dora.completes(another, expect=200)


def test_slot_that_only_the_wrong_clock_holds_for_the_future_cannot_be_booked(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    dora, paul = clinic.dora, clinic.paul
    begun_at = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
    jump(monkeypatch, timedelta(days=-1))
    for person in (dora, paul):
        person.logs_in()
    body = {"starts_at": iso(begun_at), "ends_at": iso(begun_at + timedelta(minutes=30))}
    offered = dora.posts("/availability/", body, expect=201).json()
    refused = paul.books(offered, expect=409)
    assert refused.json()["code"] == "slot_unavailable"


@pytest.mark.parametrize("by", JUMPS, ids=["forward", "back"])
def test_every_list_and_search_answers_after_a_jump(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, by: timedelta
) -> None:
    amara, paul = clinic.amara, clinic.paul
    jump(monkeypatch, by)
    for person in (amara, paul):
        person.logs_in()
    started = real_time.monotonic()
    for path in ("/availability/", "/doctors/", "/consultations/my", "/prescriptions/my", "/auth/sessions"):
        paul.gets(path, expect=200)
    for path in ("/users/", "/audit-logs/", "/consultations/", "/health/ready"):
        amara.gets(path, expect=200)
    assert real_time.monotonic() - started < REQUESTS_S_MAX
