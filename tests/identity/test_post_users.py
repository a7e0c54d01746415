"""`POST /users/`: an admin gives somebody an account of any role."""

from typing import Any

import pytest

from tests.cast import PASSWORD, Clinic, Person


def account(**changes: Any) -> dict[str, Any]:
    return {"email": "nina@clinic.test", "password": PASSWORD, "full_name": "Nina New", "role": "doctor", **changes}


@pytest.mark.parametrize("role", ["admin", "doctor", "patient"])
def test_admin_creates_a_user_of_any_role(clinic: Clinic, role: str) -> None:
    user = clinic.amara.posts("/users/", account(role=role), expect=201).json()
    assert (user["role"], user["specialty"], user["is_active"]) == (role, None, True)
    assert set(user) == {"id", "email", "full_name", "role", "specialty", "is_active", "time_zone", "created_at"}
    nina = Person(clinic, email="nina@clinic.test").logs_in()
    assert nina.gets("/users/me", expect=200).json() == user


def test_doctor_may_have_a_specialty(clinic: Clinic) -> None:
    user = clinic.amara.posts("/users/", account(specialty="Cardiology"), expect=201).json()
    assert user["specialty"] == "Cardiology"


@pytest.mark.parametrize("role", ["admin", "patient"])
def test_specialty_of_somebody_else_is_422(clinic: Clinic, role: str) -> None:
    refused = clinic.amara.posts("/users/", account(role=role, specialty="Cardiology"), expect=422)
    assert [error["field"] for error in refused.json()["errors"]] == ["body.specialty"]
    clinic.amara.posts("/users/", account(role=role, specialty=None), expect=201)


@pytest.mark.parametrize("email", ["dora@clinic.test", " DORA@clinic.test "])
def test_taken_email_is_409_email_taken(clinic: Clinic, email: str) -> None:
    assert clinic.dora
    assert clinic.amara.posts("/users/", account(email=email), expect=409).json()["code"] == "email_taken"


@pytest.mark.parametrize("name", ["dora", "paul"])
def test_nobody_else_creates_users(clinic: Clinic, name: str) -> None:
    person = getattr(clinic, name)
    refused = person.posts("/users/", account(role="admin"), expect=403)
    assert refused.json()["code"] == "forbidden"
    [row] = clinic.amara.audit_rows(action="request.denied")
    assert (row["actor_id"], row["outcome"]) == (person.id, "denied")
    assert row["request_id"] == refused.headers["x-request-id"]
    assert row["details"] == {"method": "POST", "route": "/users/"}
    assert clinic.amara.gets("/users/?email=nina@clinic.test", expect=200).json()["items"] == []


def test_role_is_checked_before_the_body(clinic: Clinic) -> None:
    headers = {"Content-Type": "text/plain"}
    clinic.paul.posts("/users/", content=b"{", headers=headers, expect=403)
    clinic.amara.posts("/users/", content=b"{", headers=headers, expect=415)
    clinic.nobody.posts("/users/", content=b"{", headers=headers, expect=401)


@pytest.mark.parametrize(
    "changes",
    [
        {"role": "nurse"},
        {"role": None},
        {"role": "Admin"},
        {"specialty": ""},
        {"specialty": "x" * 201},
        {"specialty": 1},
        {"email": "nina"},
        {"full_name": " "},
        {"clinic": "main"},
        {"is_active": False},
    ],
)
def test_malformed_account_is_422(clinic: Clinic, changes: dict[str, object]) -> None:
    refused = clinic.amara.posts("/users/", account(**changes), expect=422)
    assert [error["field"] for error in refused.json()["errors"]] == [f"body.{name}" for name in changes]


def test_new_account_leaves_an_audit_row(clinic: Clinic) -> None:
    response = clinic.amara.posts("/users/", account(), expect=201)
    [row] = clinic.amara.audit_rows(action="user.created", actor_id=clinic.amara.id)
    assert (row["actor_role"], row["entity_type"], row["entity_id"]) == ("admin", "user", response.json()["id"])
    assert (row["details"], row["request_id"]) == ({"role": "doctor"}, response.headers["x-request-id"])


def test_refused_account_leaves_no_row_of_a_change(clinic: Clinic) -> None:
    clinic.amara.posts("/users/", account(email="amara@clinic.test"), expect=409)
    assert clinic.amara.audit_rows(action="user.created", actor_id=clinic.amara.id) == []
