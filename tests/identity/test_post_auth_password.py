"""`POST /auth/password`: a new password ends all sessions but the one that set it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.cast import PASSWORD, Clinic, Person
from tests.patience import (
    assert_refused_within_a_second,
    assert_still_admitted_after_a_second,
    at_once,
    wait_for_blocked,
)

NEW = "walnut-harbour-lamp"


def change(**changes: Any) -> dict[str, Any]:
    return {"current_password": PASSWORD, "new_password": NEW, **changes}


def login_status(person: Person, password: str) -> int:
    body = {"email": person.email, "password": password, "clinic": person.clinic.slug}
    return person.clinic.nobody.posts("/auth/login", body).status_code


def test_new_password_opens_and_the_old_one_does_not(clinic: Clinic) -> None:
    clinic.paul.posts("/auth/password", change(), expect=204)
    assert login_status(clinic.paul, NEW) == 200
    assert login_status(clinic.paul, PASSWORD) == 401


def test_all_other_sessions_end_within_a_second(clinic: Clinic) -> None:
    at_home = clinic.paul.in_another_session()
    clinic.paul.posts("/auth/password", change(), expect=204)
    refused = clinic.nobody.posts("/auth/refresh", {"refresh_token": at_home.refresh_token}, expect=401)
    assert refused.json()["code"] == "invalid_token"
    assert_refused_within_a_second(at_home)


def test_own_session_goes_on(clinic: Clinic) -> None:
    clinic.paul.posts("/auth/password", change(), expect=204)
    assert_still_admitted_after_a_second(clinic.paul)
    clinic.nobody.posts("/auth/refresh", {"refresh_token": clinic.paul.refresh_token}, expect=200)


def test_sessions_of_others_go_on(clinic: Clinic, elsewhere: Clinic) -> None:
    others = (clinic.petra, elsewhere.paul)
    for other in others:
        assert other.token
    clinic.paul.posts("/auth/password", change(), expect=204)
    for other in others:
        clinic.nobody.posts("/auth/refresh", {"refresh_token": other.refresh_token}, expect=200)
        assert login_status(other, PASSWORD) == 200


@pytest.mark.parametrize("wrong", ["", NEW, PASSWORD.upper(), f"{PASSWORD} "])
def test_wrong_current_password_is_401_invalid_credentials(clinic: Clinic, wrong: str) -> None:
    at_home = clinic.paul.in_another_session()
    refused = clinic.paul.posts("/auth/password", change(current_password=wrong), expect=401)
    assert refused.json()["code"] == "invalid_credentials"
    assert login_status(clinic.paul, PASSWORD) == 200
    clinic.nobody.posts("/auth/refresh", {"refresh_token": at_home.refresh_token}, expect=200)


def test_of_two_changes_at_once_one_wins(clinic: Clinic) -> None:
    paul, wishes = clinic.paul, [NEW, "pebble-orchard-train"]
    answers = at_once([lambda wish=wish: paul.posts("/auth/password", change(new_password=wish)) for wish in wishes])
    assert sorted(answer.status_code for answer in answers) == [204, 401]
    kept = [login_status(paul, wish) for wish in wishes]
    assert kept == [200 if answer.status_code == 204 else 401 for answer in answers]


@pytest.mark.parametrize("is_change_first", [True, False])
def test_login_with_the_old_password_at_the_same_moment_does_not_stay(
    clinic: Clinic, owner: psycopg.Connection, *, is_change_first: bool
) -> None:
    actions = [
        lambda: clinic.paul.posts("/auth/password", change()),
        lambda: clinic.nobody.posts(
            "/auth/login", {"email": clinic.paul.email, "password": PASSWORD, "clinic": clinic.slug}
        ),
    ]
    order = actions if is_change_first else actions[::-1]
    assert clinic.paul.token
    with ThreadPoolExecutor(2) as pool:
        with owner.transaction():
            owner.execute("SELECT FROM users WHERE clinic_id = %s FOR UPDATE", [clinic.id])
            waiting = []
            for count, action in enumerate(order, start=1):
                waiting.append(pool.submit(action))
                wait_for_blocked(owner, count=count)
        changed, admitted = waiting if is_change_first else waiting[::-1]
    assert changed.result().status_code == 204
    if admitted.result().status_code == 200:
        body = {"refresh_token": admitted.result().json()["refresh_token"]}
        assert clinic.nobody.posts("/auth/refresh", body).status_code == 401


def test_without_an_access_token_it_is_401(clinic: Clinic) -> None:
    assert clinic.nobody.posts("/auth/password", change(), expect=401).json()["code"] == "unauthenticated"


@pytest.mark.parametrize(
    "changes",
    [{"current_password": None}, {"new_password": None}, {"new_password": 12345678}, {"email": "paul@clinic.test"}],
)
def test_malformed_body_is_422(clinic: Clinic, changes: dict[str, object]) -> None:
    refused = clinic.paul.posts("/auth/password", change(**changes), expect=422)
    assert refused.json()["code"] == "validation_error"
    assert PASSWORD not in refused.text


def test_change_and_failure_leave_audit_rows(clinic: Clinic) -> None:
    clinic.paul.posts("/auth/password", change(current_password=NEW), expect=401)
    clinic.paul.posts("/auth/password", change(), expect=204)
    [failure] = clinic.amara.audit_rows(action="user.password_change_failed")
    [success] = clinic.amara.audit_rows(action="user.password_changed")
    assert (failure["outcome"], success["outcome"]) == ("failure", "success")
    for row in (failure, success):
        assert (row["actor_id"], row["actor_role"], row["entity_id"]) == (clinic.paul.id, "patient", clinic.paul.id)
        assert row["details"] == {}
