"""`POST /auth/login`: a session for who knows e-mail and password, and one answer for everybody else."""

from typing import Any

import psycopg
import pytest
from httpx2 import Response

from tests.cast import PASSWORD, Clinic

WRONG = "plum-tractor-kettle"


def login(clinic: Clinic, /, **changes: Any) -> Response:
    body = {"email": "paul@clinic.test", "password": PASSWORD, "clinic": clinic.slug, **changes}
    return clinic.nobody.posts("/auth/login", {name: value for name, value in body.items() if value is not ...})


def test_right_password_gets_a_pair_of_tokens(clinic: Clinic) -> None:
    assert clinic.paul
    response = login(clinic)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    tokens = response.json()
    assert set(tokens) == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert (tokens["token_type"], tokens["expires_in"]) == ("bearer", 15 * 60)


def test_access_token_says_who_is_calling(clinic: Clinic) -> None:
    assert clinic.paul
    headers = {"Authorization": f"Bearer {login(clinic).json()['access_token']}"}
    me = clinic.nobody.gets("/users/me", headers=headers, expect=200).json()
    assert (me["email"], me["role"]) == ("paul@clinic.test", "patient")


@pytest.mark.parametrize(
    "email", ["PAUL@clinic.test", "paul@CLINIC.test", " paul@clinic.test\n", "\uff50aul@clinic.test"]
)
def test_email_is_compared_without_case_and_surrounding_space(clinic: Clinic, email: str) -> None:
    assert clinic.paul
    assert login(clinic, email=email).status_code == 200


def test_every_bad_login_gets_the_same_401_invalid_credentials(clinic: Clinic) -> None:
    clinic.amara.patches(f"/users/{clinic.petra.id}", {"is_active": False}, expect=200)
    assert clinic.paul
    refusals = [
        login(clinic, email="unknown@clinic.test"),
        login(clinic, email="no e-mail at all"),
        login(clinic, password=WRONG),
        login(clinic, password=""),
        login(clinic, email=clinic.petra.email),
        login(clinic, clinic="no-such-clinic"),
    ]
    assert {refusal.status_code for refusal in refusals} == {401}
    assert {refusal.headers["www-authenticate"] for refusal in refusals} == {"Bearer"}
    bodies = [{**refusal.json(), "request_id": ""} for refusal in refusals]
    assert bodies[0]["code"] == "invalid_credentials"
    assert all(body == bodies[0] for body in bodies)


def test_password_is_compared_with_case_and_space(clinic: Clinic) -> None:
    assert clinic.paul
    for password in (PASSWORD.upper(), f"{PASSWORD} ", f" {PASSWORD}", PASSWORD[:-1]):
        assert login(clinic, password=password).status_code == 401
    assert login(clinic).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"email": ...},
        {"password": ...},
        {"email": None},
        {"password": 12345678},
        {"clinic": 1},
        {"clinic": None},
        {"email": "paul\0@clinic.test"},
        {"password": "\0"},
        {"clinic": "\0"},
        {"password": "x" * 257},
        {"email": "x" * 255},
        {"username": "paul"},
    ],
)
def test_malformed_login_is_422(clinic: Clinic, changes: dict[str, Any]) -> None:
    assert clinic.paul
    refused = login(clinic, **changes)
    assert (refused.status_code, refused.json()["code"]) == (422, "validation_error")
    assert PASSWORD not in refused.text


def test_login_leaves_an_audit_row(clinic: Clinic) -> None:
    response = login(clinic, email=clinic.paul.email)
    row = clinic.amara.audit_rows(action="user.logged_in", actor_id=clinic.paul.id)[0]
    assert (row["actor_role"], row["entity_id"], row["outcome"]) == ("patient", clinic.paul.id, "success")
    assert row["request_id"] == response.headers["x-request-id"]


def test_wrong_password_leaves_an_audit_row_about_the_user(clinic: Clinic) -> None:
    response = login(clinic, email=clinic.paul.email, password=WRONG)
    [row] = clinic.amara.audit_rows(action="user.login_failed")
    assert (row["actor_id"], row["actor_role"]) == (None, None)
    assert (row["entity_type"], row["entity_id"], row["outcome"]) == ("user", clinic.paul.id, "failure")
    assert (row["request_id"], row["details"]) == (response.headers["x-request-id"], {})


def test_unknown_email_leaves_an_audit_row_without_the_email(clinic: Clinic) -> None:
    login(clinic, email="unknown@clinic.test")
    [row] = clinic.amara.audit_rows(action="user.login_failed")
    assert (row["entity_id"], row["outcome"]) == (None, "failure")
    assert "unknown" not in str(row)


def test_disabled_user_leaves_an_audit_row(clinic: Clinic) -> None:
    clinic.amara.patches(f"/users/{clinic.paul.id}", {"is_active": False}, expect=200)
    login(clinic)
    [row] = clinic.amara.audit_rows(action="user.login_failed")
    assert row["entity_id"] == clinic.paul.id


def test_failed_login_opens_no_session(clinic: Clinic, owner: psycopg.Connection) -> None:
    def sessions() -> object:
        return owner.execute("SELECT count(*) FROM sessions WHERE clinic_id = %s", [clinic.id]).fetchone()

    assert clinic.paul
    before = sessions()
    login(clinic, password=WRONG)
    assert sessions() == before


def test_neither_token_is_stored_as_it_is(clinic: Clinic, owner: psycopg.Connection) -> None:
    assert clinic.paul.refresh_token
    rows = owner.execute("SELECT token_hash FROM refresh_tokens WHERE clinic_id = %s", [clinic.id]).fetchall()
    assert rows
    assert all(row[0] not in clinic.paul.refresh_token.encode() for row in rows)
