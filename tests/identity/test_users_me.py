"""`GET` and `PATCH /users/me`: what people see and change of their own account."""

import pytest

from tests.cast import Clinic


@pytest.mark.parametrize(("name", "role"), [("amara", "admin"), ("dora", "doctor"), ("paul", "patient")])
def test_everybody_reads_their_own_account(clinic: Clinic, name: str, role: str) -> None:
    person = getattr(clinic, name)
    me = person.gets("/users/me", expect=200).json()
    assert (me["email"], me["role"], me["is_active"], me["time_zone"]) == (person.email, role, True, "UTC")
    assert set(me) == {"id", "email", "full_name", "role", "specialty", "is_active", "time_zone", "created_at"}


@pytest.mark.parametrize("name", ["amara", "dora", "paul"])
def test_everybody_changes_their_name_and_time_zone(clinic: Clinic, name: str) -> None:
    person = getattr(clinic, name)
    before = person.gets("/users/me", expect=200).json()
    changes = {"full_name": "Ada Ọkafor", "time_zone": "Africa/Lagos"}
    assert person.patches("/users/me", changes, expect=200).json() == {**before, **changes}
    assert person.gets("/users/me", expect=200).json() == {**before, **changes}


def test_what_is_left_out_stays(clinic: Clinic) -> None:
    clinic.paul.patches("/users/me", {"time_zone": "Europe/Paris"}, expect=200)
    changed = clinic.paul.patches("/users/me", {"full_name": "Paul Two"}, expect=200).json()
    assert (changed["full_name"], changed["time_zone"]) == ("Paul Two", "Europe/Paris")
    assert clinic.paul.patches("/users/me", {}, expect=200).json() == changed


@pytest.mark.parametrize(
    "changes",
    [
        {"full_name": None},
        {"full_name": ""},
        {"full_name": "x" * 201},
        {"full_name": "a\0b"},
        {"time_zone": None},
        {"time_zone": ""},
        {"time_zone": "Mars/Olympus"},
        {"time_zone": "../../etc/passwd"},
        {"time_zone": "+02:00"},
    ],
)
def test_bad_value_is_422_and_changes_nothing(clinic: Clinic, changes: dict[str, object]) -> None:
    before = clinic.paul.gets("/users/me", expect=200).json()
    refused = clinic.paul.patches("/users/me", changes, expect=422)
    assert refused.json()["code"] == "validation_error"
    assert clinic.paul.gets("/users/me", expect=200).json() == before


@pytest.mark.parametrize("field", ["role", "email", "is_active", "specialty", "password", "id", "token_version"])
def test_nobody_changes_more_than_that(clinic: Clinic, field: str) -> None:
    refused = clinic.dora.patches("/users/me", {"full_name": "Dora Two", field: "admin"}, expect=422)
    assert refused.json()["errors"][0]["field"] == f"body.{field}"
    assert clinic.dora.gets("/users/me", expect=200).json()["full_name"] == "Dora Test"


def test_without_a_token_it_is_401(clinic: Clinic) -> None:
    for method in ("GET", "PATCH"):
        refused = clinic.nobody.sends(method, "/users/me", expect=401)
        assert refused.json()["code"] == "unauthenticated"
        assert refused.headers["www-authenticate"] == "Bearer"


def test_query_parameter_is_422(clinic: Clinic) -> None:
    assert clinic.paul.gets("/users/me?id=1", expect=422).json()["errors"][0]["field"] == "query.id"


def test_change_leaves_an_audit_row_with_names_of_fields_only(clinic: Clinic) -> None:
    response = clinic.paul.patches("/users/me", {"full_name": "Paul Two"}, expect=200)
    [row] = clinic.amara.audit_rows(action="user.updated", actor_id=clinic.paul.id)
    assert (row["entity_id"], row["actor_role"], row["outcome"]) == (clinic.paul.id, "patient", "success")
    assert (row["details"], row["request_id"]) == ({"fields": ["full_name"]}, response.headers["x-request-id"])
