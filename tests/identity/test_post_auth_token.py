"""`POST /auth/token`: the OAuth 2 password form, for Swagger's *Authorize*."""

import pytest
from httpx2 import Response

from tests.cast import PASSWORD, Clinic


def authorize(clinic: Clinic, /, **changes: str | None) -> Response:
    form = {"username": "paul@clinic.test", "password": PASSWORD, "clinic": clinic.slug, **changes}
    return clinic.nobody.posts("/auth/token", data={name: value for name, value in form.items() if value is not None})


def test_form_gets_a_pair_of_tokens(clinic: Clinic) -> None:
    assert clinic.paul
    response = authorize(clinic, grant_type="password")
    assert response.status_code == 200
    tokens = response.json()
    assert set(tokens) == {"access_token", "token_type", "expires_in", "refresh_token"}
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert clinic.nobody.gets("/users/me", headers=headers, expect=200).json()["email"] == clinic.paul.email


def test_fields_that_swagger_adds_do_not_matter(clinic: Clinic) -> None:
    assert clinic.paul
    response = authorize(clinic, grant_type="password", scope="", client_id="", client_secret="")
    assert response.status_code == 200


def test_wrong_password_is_the_401_of_a_login(clinic: Clinic) -> None:
    assert clinic.paul
    refused = authorize(clinic, password="plum-tractor-kettle")
    body = {"email": clinic.paul.email, "password": "plum-tractor-kettle", "clinic": clinic.slug}
    as_login = clinic.nobody.posts("/auth/login", body, expect=401)
    assert refused.status_code == 401
    assert {**refused.json(), "request_id": ""} == {**as_login.json(), "request_id": ""}


@pytest.mark.parametrize(
    "changes",
    [
        {"username": None},
        {"password": None},
        {"grant_type": "client_credentials"},
        {"username": "paul\0@clinic.test"},
        {"password": "\0"},
        {"password": "x" * 257},
    ],
)
def test_malformed_form_is_422(clinic: Clinic, changes: dict[str, str | None]) -> None:
    assert clinic.paul
    refused = authorize(clinic, **changes)
    assert (refused.status_code, refused.json()["code"]) == (422, "validation_error")
    assert authorize(clinic).status_code == 200


def test_json_is_415(clinic: Clinic) -> None:
    body = {"username": "paul@clinic.test", "password": PASSWORD}
    assert clinic.nobody.posts("/auth/token", body, expect=415).json()["code"] == "unsupported_media_type"


def test_bytes_that_are_no_text_are_no_bug(clinic: Clinic) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    content = b"username=%ff%fe&password=%ed%a0%80&clinic=" + clinic.slug.encode()
    assert clinic.nobody.posts("/auth/token", content=content, headers=headers).status_code in (401, 422)


def test_logins_by_form_leave_the_audit_rows_of_a_login(clinic: Clinic) -> None:
    assert clinic.paul
    good, bad = authorize(clinic), authorize(clinic, password="plum-tractor-kettle")
    rows = clinic.amara.audit_rows(entity_id=clinic.paul.id)
    found = {row["request_id"]: (row["action"], row["outcome"]) for row in rows}
    assert found[good.headers["x-request-id"]] == ("user.logged_in", "success")
    assert found[bad.headers["x-request-id"]] == ("user.login_failed", "failure")
