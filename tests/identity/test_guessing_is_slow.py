"""Whoever guesses passwords waits longer and longer; whoever has the account still gets in."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from httpx2 import Response

from app.db import embedded
from app.identity.attempts import jobs, sql
from app.identity.attempts.rules import ACCOUNT, NETWORK, PAIR, SLOWDOWNS, wait_s
from tests.cast import PASSWORD, Clinic, Person
from tests.conftest import apart
from tests.mailbox import Mailbox
from tests.tables import held, until_somebody_waits_for

NEW = "walnut-harbour-lamp"
HOME, STRANGER = "192.0.2.1", "198.51.100.1"
FREE = SLOWDOWNS[PAIR].free
QUARTER_OF_AN_HOUR_S = 900
GUESSES_MAX = 10


@pytest.fixture
def town(postgres: embedded.Attachment) -> Iterator[tuple[Clinic, psycopg.Connection]]:
    """A clinic that slows guessing down, and the superuser's connection, which turns clocks."""
    with (
        apart(postgres, "guessed", rate_limits="on", rate_limit_identity=100_000) as (clinic, url),
        psycopg.connect(url, autocommit=True) as superuser,
    ):
        yield clinic, superuser


@contextmanager
def network(clinic: Clinic, address: str) -> Iterator[None]:
    """Requests come from there."""
    transport = clinic.client._transport
    before, transport.client = transport.client, (address, 50_000)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        transport.client = before  # type: ignore[attr-defined]


def guesses(person: Person, *, path: str = "/auth/login", password: str = "wrong-plum-tractor") -> Response:
    clinic = person.clinic
    if path == "/auth/token":
        form = {"username": person.email, "password": password, "clinic": clinic.slug}
        return clinic.nobody.sends("POST", path, data=form)
    return clinic.nobody.posts(path, {"email": person.email, "password": password, "clinic": clinic.slug})


def logs_in(person: Person) -> Response:
    return guesses(person, password=PASSWORD)


def pass_time(superuser: psycopg.Connection, seconds: float) -> None:
    superuser.execute("UPDATE login_attempts SET failed_at = failed_at - make_interval(secs => %s)", [seconds])


def test_sixth_guess_waits_and_so_does_the_right_password(town: tuple[Clinic, psycopg.Connection]) -> None:
    clinic, superuser = town
    petra = clinic.petra
    with network(clinic, STRANGER):
        for _ in range(FREE):
            assert guesses(petra).status_code == 401
        refused = guesses(petra)
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        wait = int(refused.headers["retry-after"])
        assert wait == wait_s(ACCOUNT, FREE)
        assert logs_in(petra).status_code == 429
        pass_time(superuser, wait)
        assert logs_in(petra).status_code == 200


def test_owner_gets_in_from_where_they_mostly_are_whatever_a_stranger_does(
    town: tuple[Clinic, psycopg.Connection],
) -> None:
    clinic, _ = town
    with network(clinic, HOME):
        petra = clinic.petra
    with network(clinic, STRANGER):
        for _ in range(FREE + 3):
            guesses(petra)
        assert logs_in(petra).status_code == 429
    with network(clinic, HOME):
        assert logs_in(petra).status_code == 200


def test_owner_who_is_somewhere_new_comes_between_the_guesses_of_one_network(
    town: tuple[Clinic, psycopg.Connection],
) -> None:
    clinic, superuser = town
    with network(clinic, HOME):
        petra = clinic.petra
    with network(clinic, STRANGER):
        while wait_s(PAIR, failures_of(superuser, PAIR)) <= SLOWDOWNS[ACCOUNT].longest_s:
            pass_time(superuser, 3600)
            assert guesses(petra).status_code == 401
        pass_time(superuser, SLOWDOWNS[ACCOUNT].longest_s)
        assert guesses(petra).status_code == 429
    with network(clinic, "203.0.113.9"):
        assert logs_in(petra).status_code == 200


def failures_of(superuser: psycopg.Connection, kind: str) -> int:
    row = superuser.execute("SELECT max(failures) FROM login_attempts WHERE kind = %s", [kind]).fetchone()
    return row[0] if row and row[0] is not None else 0


def test_many_networks_share_the_guesses_at_one_account(town: tuple[Clinic, psycopg.Connection]) -> None:
    clinic, superuser = town
    petra = clinic.petra
    guessed = 0
    for second in range(0, QUARTER_OF_AN_HOUR_S, 10):
        with network(clinic, f"198.51.100.{second // 10}"):
            guessed += guesses(petra).status_code == 401
        pass_time(superuser, 10)
    assert FREE <= guessed <= GUESSES_MAX


@pytest.mark.parametrize("spelled", ["PETRA@clinic.test", " petra@clinic.test ", "Petra@Clinic.Test"])
@pytest.mark.parametrize("path", ["/auth/login", "/auth/token"])
def test_all_doors_and_all_spellings_are_counted_together(
    town: tuple[Clinic, psycopg.Connection], path: str, spelled: str
) -> None:
    clinic, _ = town
    petra = clinic.petra
    with network(clinic, STRANGER):
        for _ in range(FREE):
            guesses(petra, path=path)
        assert guesses(Person(clinic, email=spelled)).status_code == 429


def test_unknown_email_is_slowed_down_alike(town: tuple[Clinic, psycopg.Connection]) -> None:
    clinic, _ = town
    petra, nobody = clinic.petra, Person(clinic, email="not-there@clinic.test")
    with network(clinic, STRANGER):
        told = [[guesses(person) for _ in range(FREE + 1)] for person in (petra, nobody)]
    known, unknown = ([(one.status_code, one.json()["code"], one.json()["detail"]) for one in row] for row in told)
    assert known == unknown


def test_unknown_clinic_is_slowed_down_too(town: tuple[Clinic, psycopg.Connection]) -> None:
    clinic, _ = town
    body = {"email": "petra@clinic.test", "password": "wrong-plum-tractor", "clinic": "not-there"}
    with network(clinic, STRANGER):
        told = [clinic.nobody.posts("/auth/login", body).status_code for _ in range(FREE + 1)]
    assert told == [401] * FREE + [429]


def test_guesses_at_once_are_counted_one_by_one(town: tuple[Clinic, psycopg.Connection]) -> None:
    clinic, _ = town
    petra = clinic.petra
    barrier, told = threading.Barrier(20), list[int]()

    def guess() -> None:
        barrier.wait()
        told.append(guesses(petra).status_code)

    with network(clinic, STRANGER):
        threads = [threading.Thread(target=guess) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(told) == [401] * FREE + [429] * (20 - FREE)


def test_right_password_is_not_taken_for_a_wrong_one_because_somebody_came_a_moment_later(
    town: tuple[Clinic, psycopg.Connection],
) -> None:
    """Whose transaction began first may be counted second: for it the other's attempt lies in the future."""
    clinic, superuser = town
    petra = clinic.petra
    counted = "UPDATE login_attempts SET failed_at = clock_timestamp() WHERE kind = 'network' RETURNING bucket"
    with network(clinic, STRANGER):
        assert logs_in(clinic.paul).status_code == 200
        with ThreadPoolExecutor(1) as threads, held(superuser.info.dsn, counted, []) as later:
            login = threads.submit(logs_in, petra)
            until_somebody_waits_for(later, superuser)
            later.execute(counted)
            later.commit()
            assert login.result().status_code == 200


def test_few_guesses_at_each_of_many_accounts_are_slowed_down(town: tuple[Clinic, psycopg.Connection]) -> None:
    clinic, superuser = town
    with network(clinic, HOME):
        petra = clinic.petra
    with network(clinic, STRANGER):
        for number in range(SLOWDOWNS[NETWORK].free):
            assert guesses(Person(clinic, email=f"p{number}@clinic.test")).status_code == 401
        assert guesses(Person(clinic, email="one-more@clinic.test")).status_code == 429
        pass_time(superuser, SLOWDOWNS[NETWORK].longest_s)
        assert guesses(Person(clinic, email="one-more@clinic.test")).status_code == 401
    with network(clinic, HOME):
        assert logs_in(petra).status_code == 200


def test_who_mistypes_and_then_gets_it_right_begins_anew(town: tuple[Clinic, psycopg.Connection]) -> None:
    clinic, superuser = town
    petra = clinic.petra
    for _ in range(3):
        for _ in range(FREE - 1):
            assert guesses(petra).status_code == 401
        assert logs_in(petra).status_code == 200
    assert failures_of(superuser, PAIR) == 0


def test_who_sets_a_new_password_by_mail_gets_in_whatever_was_guessed(
    town: tuple[Clinic, psycopg.Connection], tmp_path: Path
) -> None:
    clinic, _ = town
    mailbox, paul = Mailbox(clinic, tmp_path), clinic.paul
    with network(clinic, STRANGER):
        while guesses(paul).status_code == 401:
            pass
    with network(clinic, HOME):
        clinic.nobody.posts("/auth/password/forgot", {"email": paul.email, "clinic": clinic.slug}, expect=202)
        body = {"token": mailbox.token(), "new_password": NEW}
        assert logs_in(paul).status_code == 429
        clinic.nobody.posts("/auth/password/reset", body, expect=204)
        assert guesses(paul, password=NEW).status_code == 200
    with network(clinic, STRANGER):
        assert guesses(paul, password=NEW).status_code == 429


def test_stolen_token_does_not_help_to_guess(town: tuple[Clinic, psycopg.Connection]) -> None:
    clinic, _ = town
    petra = clinic.petra
    body = {"current_password": "wrong-plum-tractor", "new_password": "another-plum-tractor"}
    with network(clinic, STRANGER):
        told = [petra.posts("/auth/password", body).status_code for _ in range(FREE - 2)]
        told += [petra.posts("/auth/mfa/totp", {"password": "wrong"}).status_code for _ in range(2)]
        assert told == [401] * FREE
        assert petra.posts("/auth/password", body).status_code == 429
        assert guesses(petra).status_code == 429


def test_day_without_a_guess_forgets_them(town: tuple[Clinic, psycopg.Connection]) -> None:
    clinic, superuser = town
    petra = clinic.petra
    with network(clinic, STRANGER):
        for _ in range(FREE):
            guesses(petra)
        pass_time(superuser, 86_401)
        assert [guesses(petra).status_code for _ in range(FREE + 1)] == [401] * FREE + [429]


def test_table_names_nobody_and_forgets(town: tuple[Clinic, psycopg.Connection]) -> None:
    clinic, superuser = town
    with network(clinic, HOME):
        petra = clinic.petra
        guesses(petra)
    assert superuser.execute("SELECT DISTINCT length(bucket) FROM login_attempts").fetchall() == [(16,)]
    superuser.execute("UPDATE login_attempts SET expires_at = now() - interval '1 second'")
    assert clinic.client.portal is not None
    clinic.client.portal.call(jobs.forget_expired, clinic.client.app.state.db)  # type: ignore[attr-defined]
    assert superuser.execute("SELECT count(*) FROM login_attempts").fetchone() == (0,)


@pytest.mark.parametrize("kind", SLOWDOWNS)
def test_database_waits_as_long_as_the_rule_says(town: tuple[Clinic, psycopg.Connection], kind: str) -> None:
    clinic, superuser = town
    db, portal = clinic.client.app.state.db, clinic.client.portal  # type: ignore[attr-defined]
    assert portal is not None
    for failures in (0, 4, 5, 6, 9, 12, 20, 99, 100, 101, 150):
        superuser.execute("DELETE FROM login_attempts")
        superuser.execute(
            "INSERT INTO login_attempts (clinic_id, bucket, kind, failures, expires_at)"
            " VALUES (%s, 'x', %s, %s, now())",
            [clinic.id, kind, failures],
        )
        admission = portal.call(
            lambda: db.one(sql.ADMIT, clinic_id=clinic.id, kinds=[kind], buckets=[b"x"], pair=b"none")
        )
        expected = wait_s(kind, failures)
        assert bool(admission.counted) == (expected == 0)
        if expected:
            assert expected - 2 < admission.wait_s <= expected
