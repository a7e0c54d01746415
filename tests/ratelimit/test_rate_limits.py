"""Who asks for too much waits, and nobody else does."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from fakeredis import TcpFakeServer
from starlette.testclient import TestClient

from app.db import embedded
from app.kit import clock
from app.main import create_app
from app.ratelimit import jobs, service
from tests.cast import Clinic, found_clinic
from tests.conftest import apart, cloned, settings_for

CALLER, NETWORK, IDENTITY = 10, 40, 20
LIMITS = {"rate_limits": "on", "rate_limit_caller": CALLER, "rate_limit_network": NETWORK}
# In the middle of a minute, whatever the time is.
HALF_PAST = datetime(2030, 1, 1, 12, 0, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _time_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.ratelimit.service.clock", _Clock)
    monkeypatch.setattr(service, "SHARE_EVERY_S", 3600)


class _Clock:
    """The doors' clock, for the limits only: tokens go on ageing."""

    time = HALF_PAST

    @classmethod
    def now(cls) -> datetime:
        return cls.time


@pytest.fixture
def redis_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What speaks as Redis does, over TCP."""
    # On a busy machine it takes its time, and the client leaves a connection behind that it gave up on.
    monkeypatch.setattr("app.ratelimit.redis.ANSWER_S_MAX", 60)
    server = TcpFakeServer(("127.0.0.1", 0))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"redis://127.0.0.1:{server.server_address[1]}/0"
    server.shutdown()
    server.server_close()


@pytest.fixture
def limited(postgres: embedded.Attachment) -> Iterator[Clinic]:
    """A clinic of strict limits; its people have logged in before the counting begins."""
    with apart(postgres, "limited", **LIMITS, rate_limit_identity=IDENTITY) as (clinic, _):
        yield ready(clinic)


def ready(clinic: Clinic) -> Clinic:
    for person in (clinic.amara, clinic.dora, clinic.paul, clinic.petra):
        assert person.id
    forget(clinic)
    return clinic


def forget(clinic: Clinic) -> None:
    clinic.client.app.state.rate_limits._counts.clear()  # type: ignore[attr-defined]


def test_caller_may_ask_so_often_in_a_minute_and_then_waits_as_told(limited: Clinic) -> None:
    for _ in range(CALLER):
        limited.paul.gets("/users/me", expect=200)

    refused = limited.paul.gets("/users/me", expect=429)
    assert refused.json()["code"] == "rate_limited"
    wait = int(refused.headers["retry-after"])
    assert 30 <= wait <= 40
    assert str(wait) in refused.json()["detail"]


def test_one_caller_who_asks_too_much_hurts_no_other(limited: Clinic) -> None:
    for _ in range(CALLER + 5):
        limited.paul.gets("/users/me")
    limited.petra.gets("/users/me", expect=200)


def test_who_is_refused_is_not_counted(limited: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(CALLER + 50):
        limited.paul.gets("/users/me")
    wait = int(limited.paul.gets("/users/me", expect=429).headers["retry-after"])
    monkeypatch.setattr(_Clock, "time", datetime.fromtimestamp(HALF_PAST.timestamp() + wait, UTC))
    limited.paul.gets("/users/me", expect=200)


def test_network_has_a_limit_of_its_own(limited: Clinic) -> None:
    people = (limited.amara, limited.dora, limited.paul, limited.petra)
    for turn in range(NETWORK):
        people[turn % len(people)].gets("/users/me", expect=200)
    forget_callers(limited)
    limited.paul.gets("/users/me", expect=429)


def forget_callers(clinic: Clinic) -> None:
    counts: dict[Any, Any] = clinic.client.app.state.rate_limits._counts  # type: ignore[attr-defined]
    for key in [key for key in counts if key[0].name == "caller"]:
        del counts[key]


def test_doors_where_people_say_who_they_are_are_stricter(limited: Clinic) -> None:
    for _ in range(IDENTITY):
        limited.nobody.posts("/auth/refresh", {"refresh_token": "nonsense-nonsense"}, expect=401)
    limited.nobody.posts("/auth/refresh", {"refresh_token": "nonsense-nonsense"}, expect=429)
    limited.nobody.posts("/auth/login", {"email": "a@b.test", "password": "x"}, expect=429)
    # Whoever is in goes on.
    limited.paul.gets("/users/me", expect=200)


def test_rate_comes_after_the_role_and_before_everything_else(limited: Clinic) -> None:
    for _ in range(CALLER):
        limited.paul.gets("/users/me")
    limited.paul.gets("/audit-logs/", expect=403)
    limited.paul.posts("/bookings/", {"slot_id": "nonsense"}, expect=429)
    limited.paul.gets("/consultations/nonsense", expect=429)


def test_orchestrator_is_never_limited(limited: Clinic) -> None:
    for _ in range(NETWORK + 5):
        limited.nobody.gets("/health/live", expect=200)
    limited.nobody.gets("/health/ready", expect=200)


def test_refusal_consumes_no_key(limited: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    slot = limited.dora.offers()
    for _ in range(CALLER):
        limited.paul.gets("/users/me")
    limited.paul.books(slot, key="one-key-for-both", expect=429)
    monkeypatch.setattr(_Clock, "time", datetime.fromtimestamp(HALF_PAST.timestamp() + 120, UTC))
    booked = limited.paul.books(slot, key="one-key-for-both", expect=201)
    assert "idempotency-replayed" not in booked.headers


@pytest.fixture(params=["in PostgreSQL", "in Redis"])
def replicas(
    request: pytest.FixtureRequest, postgres: embedded.Attachment, redis_url: str
) -> Iterator[tuple[Clinic, Clinic]]:
    """The same clinic behind two processes, as far as they know, that count together here or there."""
    with cloned(postgres, "limited_twice") as url:
        store = {"redis_url": redis_url} if request.param == "in Redis" else {}
        settings = settings_for(url, **LIMITS, **store, rate_limit_identity=IDENTITY)
        with TestClient(create_app(settings)) as one, TestClient(create_app(settings)) as other:
            here = ready(found_clinic(one))
            yield here, Clinic(other, here.slug, here.id)


def share(clinic: Clinic) -> None:
    """What happens every second."""
    portal = clinic.client.portal
    assert portal is not None
    portal.call(clinic.client.app.state.rate_limits.share)  # type: ignore[attr-defined]


def test_replicas_count_together(replicas: tuple[Clinic, Clinic]) -> None:
    here, there = replicas
    paul_there = here.paul.at(there)
    for _ in range(CALLER - 4):
        here.paul.gets("/users/me", expect=200)
    for _ in range(4):
        paul_there.gets("/users/me", expect=200)
    share(here)
    share(there)
    paul_there.gets("/users/me", expect=429)
    # It was told before the other one was; from its next request on it tells, and hears, again.
    here.paul.gets("/users/me", expect=200)
    share(here)
    here.paul.gets("/users/me", expect=429)


def test_replica_hears_of_the_minute_before_too(
    replicas: tuple[Clinic, Clinic], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = replicas
    for _ in range(CALLER):
        here.paul.gets("/users/me", expect=200)
    share(here)
    monkeypatch.setattr(_Clock, "time", datetime.fromtimestamp(HALF_PAST.timestamp() + 30, UTC))
    paul_there = here.paul.at(there)
    paul_there.gets("/users/me", expect=200)
    share(there)
    paul_there.gets("/users/me", expect=429)


def limited_database(clinic: Clinic) -> psycopg.Connection:
    return psycopg.connect(clinic.client.app.state.db._pool.conninfo, autocommit=True)  # type: ignore[attr-defined]


def test_no_address_lies_in_the_database(limited: Clinic) -> None:
    limited.nobody.posts("/auth/refresh", {"refresh_token": "nonsense-nonsense"}, expect=401)
    share(limited)
    with limited_database(limited) as connection:
        rows = connection.execute("SELECT DISTINCT length(bucket) FROM rate_counts").fetchall()
    assert rows == [(16,)]


def test_database_that_is_away_lets_everybody_be_counted_alone(
    limited: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = limited.client.app.state.rate_limits  # type: ignore[attr-defined]

    class Away:
        async def add(self, *_: object) -> None:
            raise service.Unavailable

        async def close(self) -> None:
            pass

    monkeypatch.setattr(limits, "_store", Away())
    for _ in range(CALLER):
        limited.paul.gets("/users/me", expect=200)
    with pytest.raises(service.Unavailable):
        share(limited)
    limited.paul.gets("/users/me", expect=429)


def test_old_counts_are_forgotten(limited: Clinic) -> None:
    limited.nobody.posts("/auth/refresh", {"refresh_token": "nonsense-nonsense"}, expect=401)
    share(limited)
    with limited_database(limited) as connection:
        connection.execute("UPDATE rate_counts SET minute = %s", [int(clock.now().timestamp()) // 60 - 60])
        assert limited.client.portal is not None
        assert limited.client.portal.call(jobs.forget_counts, limited.client.app.state.db) > 0  # type: ignore[attr-defined]
        assert connection.execute("SELECT count(*) FROM rate_counts").fetchone() == (0,)


def test_memory_is_bounded(limited: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "COUNTS_MAX", 3)
    for person in (limited.amara, limited.dora, limited.paul, limited.petra):
        person.gets("/users/me", expect=200)
    assert len(limited.client.app.state.rate_limits._counts) <= 3  # type: ignore[attr-defined]


def test_redis_that_is_away_lets_everybody_be_counted_alone(postgres: embedded.Attachment) -> None:
    with apart(postgres, "no_redis", **LIMITS, redis_url="redis://127.0.0.1:1/0") as (clinic, _):
        ready(clinic)
        for _ in range(CALLER):
            clinic.paul.gets("/users/me", expect=200)
        with pytest.raises(service.Unavailable):
            share(clinic)
        clinic.paul.gets("/users/me", expect=429)
