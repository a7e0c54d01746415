"""Passwords: any Unicode of 8 to 256 characters, read to the last one; common ones refused wherever one is set."""

import asyncio
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from httpx2 import Response

from app.identity.passwords import WAIT_S_MAX, Passwords
from app.kit.errors import Unavailable
from app.observability.process import BACKGROUND_NICENESS, give_way
from tests.cast import PASSWORD, Clinic, Person

SHARED_72 = "correct-horse-" * 5 + "xy"


def registers(clinic: Clinic, password: str) -> Response:
    body = {"email": "rita@clinic.test", "password": password, "full_name": "Rita New", "clinic": clinic.slug}
    return clinic.nobody.posts("/auth/register", body)


def is_created(clinic: Clinic, password: str) -> Response:
    body = {"email": "rita@clinic.test", "password": password, "full_name": "Rita New", "role": "admin"}
    return clinic.amara.posts("/users/", body)


def changes(clinic: Clinic, password: str) -> Response:
    return clinic.paul.posts("/auth/password", {"current_password": PASSWORD, "new_password": password})


WAYS = pytest.mark.parametrize("sets_password", [registers, is_created, changes])
SetsPassword = Callable[[Clinic, str], Response]


def login_status(clinic: Clinic, email: str, password: str) -> int:
    body = {"email": email, "password": password, "clinic": clinic.slug}
    return clinic.nobody.posts("/auth/login", body).status_code


def status_with(clinic: Clinic, sets_password: SetsPassword, password: str) -> int:
    """Of a login by whoever just got a password."""
    return login_status(clinic, "paul@clinic.test" if sets_password is changes else "rita@clinic.test", password)


@WAYS
@pytest.mark.parametrize(
    "password",
    [
        "plum-tractor",
        "x1%_\\'\";--",
        "密码很长很长很长的",
        "🐙🦑🐡🐠🦀🦞🐚🪼",
        "naïve café",
        "        leading and trailing        ",
        "x" * 73 + "y",
        "é" * 256,
        "🐙" * 256,
        "tab\tand\nnewline",
    ],
)
def test_any_unicode_is_a_password(clinic: Clinic, sets_password: SetsPassword, password: str) -> None:
    assert sets_password(clinic, password).status_code in (201, 204)
    assert status_with(clinic, sets_password, password) == 200
    assert status_with(clinic, sets_password, password[:-1]) == 401


@WAYS
def test_passwords_that_share_72_bytes_are_different(clinic: Clinic, sets_password: SetsPassword) -> None:
    assert len(SHARED_72) == 72
    assert sets_password(clinic, SHARED_72 + "one").status_code in (201, 204)
    for other in (SHARED_72 + "two", SHARED_72, SHARED_72 + "one "):
        assert status_with(clinic, sets_password, other) == 401
    assert status_with(clinic, sets_password, SHARED_72 + "one") == 200


@WAYS
@pytest.mark.parametrize("length", [0, 7, 257, 5000])
def test_length_is_8_to_256_characters(clinic: Clinic, sets_password: SetsPassword, length: int) -> None:
    refused = sets_password(clinic, "ñ" * length)
    assert (refused.status_code, refused.json()["code"]) == (422, "validation_error")
    assert refused.json()["errors"][0]["field"] in ("body.password", "body.new_password")


@WAYS
@pytest.mark.parametrize("length", [8, 256])
def test_shortest_and_longest_password(clinic: Clinic, sets_password: SetsPassword, length: int) -> None:
    password = ("ñ7k" * length)[:length]
    assert sets_password(clinic, password).status_code in (201, 204)
    assert status_with(clinic, sets_password, password) == 200


@WAYS
@pytest.mark.parametrize("password", ["\0" * 8, "plum\0tractor", "plum-tractor\0", "password\0"])
def test_nul_is_422_validation_error(clinic: Clinic, sets_password: SetsPassword, password: str) -> None:
    refused = sets_password(clinic, password)
    assert (refused.status_code, refused.json()["code"]) == (422, "validation_error")


@WAYS
@pytest.mark.parametrize("password", ["password", "12345678", "qwertyuiop", "PassWord1", "iloveyou", "trustno1"])
def test_common_password_is_422_password_too_weak(clinic: Clinic, sets_password: SetsPassword, password: str) -> None:
    refused = sets_password(clinic, password)
    assert (refused.status_code, refused.json()["code"]) == (422, "password_too_weak")
    assert "errors" not in refused.json()
    assert status_with(clinic, sets_password, password) == 401


@WAYS
def test_own_email_is_422_password_too_weak(clinic: Clinic, sets_password: SetsPassword) -> None:
    email = "paul@clinic.test" if sets_password is changes else "rita@clinic.test"
    for password in (email, email.upper()):
        refused = sets_password(clinic, password)
        assert (refused.status_code, refused.json()["code"]) == (422, "password_too_weak")


@WAYS
@pytest.mark.parametrize("password", ["aaaaaaab1x", "plumtractor", "ALLUPPERCASE-X", "907312845512"])
def test_no_composition_is_demanded(clinic: Clinic, sets_password: SetsPassword, password: str) -> None:
    assert sets_password(clinic, password).status_code in (201, 204)


def test_password_is_never_answered(clinic: Clinic) -> None:
    secret = "x7-" * 90
    for answer in (registers(clinic, secret), is_created(clinic, secret), changes(clinic, secret)):
        assert answer.status_code == 422
        assert secret[:9] not in answer.text
    assert "password" not in registers(clinic, PASSWORD).text


def test_same_password_has_another_hash_for_each_user(clinic: Clinic, owner: object) -> None:
    assert clinic.paul
    assert clinic.petra
    rows = owner.execute("SELECT password_hash FROM users WHERE clinic_id = %s", [clinic.id]).fetchall()  # type: ignore[attr-defined]
    assert len({row[0] for row in rows}) == 3
    assert all(row[0].startswith("$2b$") for row in rows)


def test_unknown_email_costs_what_a_wrong_password_costs() -> None:
    async def measure() -> tuple[float, float]:
        passwords = Passwords(pepper=b"x" * 32, cost=8)
        stored = await passwords.hash(PASSWORD)
        times: dict[str | None, list[float]] = {stored: [], None: []}
        for _ in range(9):
            for known, spent in times.items():
                began = time.perf_counter()
                assert not await passwords.verify("plum-tractor-kettle", known)
                spent.append(time.perf_counter() - began)
        passwords.close()
        return statistics.median(times[stored]), statistics.median(times[None])

    wrong, unknown = asyncio.run(measure())
    assert 0.5 < unknown / wrong < 2


def test_password_is_the_same_from_another_device(clinic: Clinic) -> None:
    assert Person(clinic, email=clinic.paul.email).logs_in().id == clinic.paul.id


def test_who_would_wait_too_long_is_told_at_once() -> None:
    async def crowd() -> list[bool | BaseException]:
        busy = Passwords(pepper=b"x" * 32, cost=4)
        # As if the last hashes had taken that long each.
        busy._hasher_in_calm.takes_s = WAIT_S_MAX / 2.5
        try:
            return await asyncio.gather(*(busy.verify("right", None) for _ in range(5)), return_exceptions=True)
        finally:
            busy.close()

    answers = asyncio.run(crowd())
    assert [type(answer) for answer in answers] == [bool] * 3 + [Unavailable] * 2


def test_storm_of_logins_is_told_before_the_account_is_looked_up(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"email": clinic.paul.email, "password": PASSWORD, "clinic": clinic.slug}
    passwords, db = clinic.client.app.state.passwords, clinic.client.app.state.db  # type: ignore[attr-defined]
    monkeypatch.setattr(passwords, "_waiting", 1_000_000)
    # Nothing that asks the database could answer now.
    monkeypatch.setattr(db, "one", None)
    refused = clinic.nobody.posts("/auth/login", body, expect=503)
    assert refused.json()["code"] == "unavailable"
    assert int(refused.headers["retry-after"]) > 0


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no cores of their own elsewhere")
def test_hashing_leaves_half_of_the_cores_to_requests() -> None:
    def asked() -> tuple[set[int], int]:
        give_way()
        thread = threading.get_native_id()
        return os.sched_getaffinity(thread), os.getpriority(os.PRIO_PROCESS, thread)

    with ThreadPoolExecutor(1) as threads:
        cores, niceness = threads.submit(asked).result()
    everywhere = os.sched_getaffinity(0)
    assert cores < everywhere or len(everywhere) == 1
    assert len(cores) == (len(everywhere) + 1) // 2
    assert niceness == BACKGROUND_NICENESS
