"""`POST /auth/logout`: the token's family is over, within a second, and nothing is told about any token."""

import pytest

from tests.cast import Clinic, Person
from tests.patience import assert_refused_within_a_second, assert_still_admitted_after_a_second


def log_out(person: Person, token: str | None) -> None:
    response = person.posts("/auth/logout", {"refresh_token": token}, expect=204)
    assert response.content == b""


def refresh_status(clinic: Clinic, token: str | None) -> int:
    return clinic.nobody.posts("/auth/refresh", {"refresh_token": token}).status_code


def test_refresh_token_of_the_session_is_no_longer_good(clinic: Clinic) -> None:
    log_out(clinic.paul, clinic.paul.refresh_token)
    assert refresh_status(clinic, clinic.paul.refresh_token) == 401


def test_access_token_of_the_session_is_refused_within_a_second(clinic: Clinic) -> None:
    log_out(clinic.paul, clinic.paul.refresh_token)
    assert_refused_within_a_second(clinic.paul)


def test_other_sessions_go_on(clinic: Clinic) -> None:
    at_home = clinic.paul.in_another_session()
    log_out(clinic.paul, clinic.paul.refresh_token)
    assert_still_admitted_after_a_second(at_home)
    assert refresh_status(clinic, at_home.refresh_token) == 200


def test_any_token_of_the_family_ends_it(clinic: Clinic) -> None:
    first = clinic.paul.refresh_token
    successor = clinic.nobody.posts("/auth/refresh", {"refresh_token": first}, expect=200).json()["refresh_token"]
    log_out(clinic.paul, first)
    assert refresh_status(clinic, successor) == 401


def test_another_session_of_ones_own_can_be_ended(clinic: Clinic) -> None:
    at_home = clinic.paul.in_another_session()
    log_out(clinic.paul, at_home.refresh_token)
    assert_refused_within_a_second(at_home)
    clinic.paul.gets("/users/me", expect=200)


@pytest.mark.parametrize("token", ["", "x", "no base64!", "é", "A" * 48, "A" * 4096])
def test_what_never_was_a_token_is_204_and_changes_nothing(clinic: Clinic, token: str) -> None:
    log_out(clinic.paul, token)
    assert refresh_status(clinic, clinic.paul.refresh_token) == 200
    assert clinic.amara.audit_rows(action="session.ended") == []


def test_token_of_somebody_else_is_204_and_they_stay(clinic: Clinic, elsewhere: Clinic) -> None:
    for other in (clinic.petra, elsewhere.paul):
        log_out(clinic.paul, other.refresh_token)
        assert refresh_status(clinic, other.refresh_token) == 200
    assert clinic.amara.audit_rows(action="session.ended") == []


def test_logging_out_twice_is_204_and_leaves_one_row(clinic: Clinic) -> None:
    at_home = clinic.paul.in_another_session()
    for _ in range(2):
        log_out(clinic.paul, at_home.refresh_token)
    assert len(clinic.amara.audit_rows(action="session.ended")) == 1


def test_without_an_access_token_it_is_401(clinic: Clinic) -> None:
    body = {"refresh_token": clinic.paul.refresh_token}
    assert clinic.nobody.posts("/auth/logout", body, expect=401).json()["code"] == "unauthenticated"
    assert refresh_status(clinic, clinic.paul.refresh_token) == 200


@pytest.mark.parametrize(
    "body", [{}, {"refresh_token": None}, {"refresh_token": 1}, {"refresh_token": "x", "all": True}]
)
def test_malformed_body_is_422(clinic: Clinic, body: dict[str, object]) -> None:
    assert clinic.paul.posts("/auth/logout", body, expect=422).json()["code"] == "validation_error"


def test_logout_leaves_an_audit_row(clinic: Clinic) -> None:
    log_out(clinic.paul, clinic.paul.refresh_token)
    [row] = clinic.amara.audit_rows(action="session.ended")
    assert (row["actor_role"], row["entity_type"], row["outcome"]) == ("patient", "session", "success")
