"""`POST /auth/register`: a stranger becomes a patient, and never more than that."""

from typing import Any

import pytest

from tests.cast import PASSWORD, Clinic, Person
from tests.patience import at_once

EMAIL_OF_254 = f"{'l' * 64}@{'a' * 63}.{'b' * 63}.{'c' * 53}.example"


def registration(clinic: Clinic, **changes: Any) -> dict[str, Any]:
    body = {"email": "rita@clinic.test", "password": PASSWORD, "full_name": "Rita New", "clinic": clinic.slug}
    return {**body, **changes}


def test_stranger_becomes_a_patient(clinic: Clinic) -> None:
    user = clinic.nobody.posts("/auth/register", registration(clinic), expect=201).json()
    assert user.pop("id")
    assert user.pop("created_at").endswith("Z")
    assert user == {
        "email": "rita@clinic.test",
        "full_name": "Rita New",
        "role": "patient",
        "specialty": None,
        "is_active": True,
        "time_zone": "UTC",
    }


def test_registered_patient_logs_in_and_books(clinic: Clinic) -> None:
    clinic.nobody.posts("/auth/register", registration(clinic), expect=201)
    rita = Person(clinic, email="rita@clinic.test").logs_in()
    rita.books(clinic.dora.offers(), expect=201)


@pytest.mark.parametrize("field", ["role", "is_active", "specialty", "id", "time_zone"])
def test_field_that_is_not_for_strangers_is_422(clinic: Clinic, field: str) -> None:
    response = clinic.nobody.posts("/auth/register", registration(clinic, **{field: "admin"}), expect=422)
    assert response.json()["code"] == "validation_error"
    assert response.json()["errors"][0]["field"] == f"body.{field}"
    clinic.nobody.posts("/auth/register", registration(clinic), expect=201)


@pytest.mark.parametrize(
    "email", ["rita@clinic.test", "RITA@Clinic.TEST", "  rita@clinic.test ", "\uff52ita@clinic.test"]
)
def test_taken_email_is_409_email_taken(clinic: Clinic, email: str) -> None:
    clinic.nobody.posts("/auth/register", registration(clinic), expect=201)
    refused = clinic.nobody.posts("/auth/register", registration(clinic, email=email), expect=409)
    assert refused.json()["code"] == "email_taken"


def test_twenty_at_once_make_one_account(clinic: Clinic) -> None:
    answers = at_once([lambda: clinic.nobody.posts("/auth/register", registration(clinic))] * 20)
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19
    assert len(clinic.amara.gets("/users/?role=patient", expect=200).json()["items"]) == 1


def test_email_is_kept_as_written_without_surrounding_space(clinic: Clinic) -> None:
    body = registration(clinic, email="  Rita.New@clinic.test\t")
    assert clinic.nobody.posts("/auth/register", body, expect=201).json()["email"] == "Rita.New@clinic.test"


@pytest.mark.parametrize("email", [EMAIL_OF_254, "rita@clinic.internal", "rita@clinic.test", "rita@münchen.example"])
def test_email_of_any_domain_is_accepted_and_logs_in(clinic: Clinic, email: str) -> None:
    clinic.nobody.posts("/auth/register", registration(clinic, email=email), expect=201)
    Person(clinic, email=email).logs_in()


def test_domain_in_punycode_is_the_same_email(clinic: Clinic) -> None:
    punycode = "rita@xn--mnchen-3ya.example"
    clinic.nobody.posts("/auth/register", registration(clinic, email=punycode), expect=201)
    Person(clinic, email=punycode).logs_in()
    Person(clinic, email="rita@münchen.example").logs_in()


@pytest.mark.parametrize(
    "email",
    [
        "",
        " ",
        "rita",
        "rita@",
        "@clinic.test",
        "ri ta@clinic.test",
        "a@@clinic.test",
        "a\0@clinic.test",
        f"x{EMAIL_OF_254}",
    ],
)
def test_malformed_email_is_422(clinic: Clinic, email: str) -> None:
    refused = clinic.nobody.posts("/auth/register", registration(clinic, email=email), expect=422)
    assert refused.json()["code"] == "validation_error"
    assert refused.json()["errors"][0]["field"] == "body.email"


@pytest.mark.parametrize(
    ("full_name", "status"), [("x", 201), ("é" * 200, 201), ("", 422), ("x" * 201, 422), ("  ", 422)]
)
def test_name_has_1_to_200_characters(clinic: Clinic, full_name: str, status: int) -> None:
    clinic.nobody.posts("/auth/register", registration(clinic, full_name=full_name), expect=status)


@pytest.mark.parametrize("field", ["email", "password", "full_name"])
@pytest.mark.parametrize("value", [None, 12345678, True, ["rita@clinic.test"], {}, "rita\0@clinic.test"])
def test_wrong_type_is_422(clinic: Clinic, field: str, value: object) -> None:
    refused = clinic.nobody.posts("/auth/register", registration(clinic, **{field: value}), expect=422)
    assert [error["field"] for error in refused.json()["errors"]] == [f"body.{field}"]


@pytest.mark.parametrize("field", ["email", "password", "full_name"])
def test_missing_field_is_422(clinic: Clinic, field: str) -> None:
    body = registration(clinic)
    del body[field]
    clinic.nobody.posts("/auth/register", body, expect=422)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'"text"', b'{"email": NaN}', b'"\\ud800"', b"\xff"])
def test_body_that_is_no_json_object_is_422(clinic: Clinic, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    refused = clinic.nobody.posts("/auth/register", content=content, headers=headers, expect=422)
    assert refused.json()["code"] == "validation_error"


def test_body_of_another_type_is_415(clinic: Clinic) -> None:
    refused = clinic.nobody.posts("/auth/register", data=registration(clinic), expect=415)
    assert refused.json()["code"] == "unsupported_media_type"


def test_registration_leaves_an_audit_row_without_personal_values(clinic: Clinic) -> None:
    response = clinic.nobody.posts("/auth/register", registration(clinic), expect=201)
    [row] = clinic.amara.audit_rows(action="user.registered")
    user_id = response.json()["id"]
    assert (row["actor_id"], row["actor_role"]) == (user_id, "patient")
    assert (row["entity_type"], row["entity_id"], row["outcome"]) == ("user", user_id, "success")
    assert row["request_id"] == response.headers["x-request-id"]
    assert row["details"] == {"role": "patient"}
