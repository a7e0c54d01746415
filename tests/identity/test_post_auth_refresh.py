"""`POST /auth/refresh`: rotation, repeated where an answer was lost, ended where a token was stolen."""

import base64
from datetime import UTC, datetime, timedelta

import jwt
import psycopg
import pytest
from httpx2 import Response

from app.identity.tokens import RefreshToken
from tests.cast import Clinic, Person
from tests.patience import assert_refused_within_a_second, assert_still_admitted_after_a_second, at_once


def refresh(person: Person, token: str | None = None) -> Response:
    return person.clinic.nobody.posts("/auth/refresh", {"refresh_token": token or person.refresh_token})


def turn_back(owner: psycopg.Connection, token: str | None, column: str, by: timedelta) -> None:
    """As if `column` of the token's row had been written that much earlier."""
    parsed = RefreshToken.parse(token or "")
    assert parsed is not None
    turned = owner.execute(
        f"UPDATE refresh_tokens SET {column} = {column} - %s WHERE clinic_id = %s AND token_hash = %s",  # type: ignore[arg-type]
        [by, parsed.clinic_id, parsed.hash],
    )
    assert turned.rowcount == 1


def assert_invalid(response: Response) -> None:
    assert (response.status_code, response.json()["code"]) == (401, "invalid_token")
    assert response.headers["www-authenticate"] == "Bearer"


def test_refresh_token_is_traded_for_a_new_pair(clinic: Clinic) -> None:
    response = refresh(clinic.paul)
    assert response.status_code == 200
    tokens = response.json()
    assert set(tokens) == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert tokens["refresh_token"] != clinic.paul.refresh_token
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert clinic.nobody.gets("/users/me", headers=headers, expect=200).json()["email"] == clinic.paul.email


def test_session_goes_on_through_many_rotations(clinic: Clinic) -> None:
    token, seen = clinic.paul.refresh_token, set()
    for _ in range(5):
        token = refresh(clinic.paul, token).json()["refresh_token"]
        seen.add(token)
    assert len(seen) == 5
    assert_still_admitted_after_a_second(clinic.paul)


def test_repeat_within_30_s_gets_the_same_successor(clinic: Clinic) -> None:
    first, again = refresh(clinic.paul), refresh(clinic.paul)
    assert again.status_code == 200
    assert again.json()["refresh_token"] == first.json()["refresh_token"]
    assert refresh(clinic.paul, first.json()["refresh_token"]).status_code == 200


def test_repeat_just_within_30_s_is_allowed(clinic: Clinic, owner: psycopg.Connection) -> None:
    first = refresh(clinic.paul)
    turn_back(owner, clinic.paul.refresh_token, "used_at", timedelta(seconds=25))
    assert refresh(clinic.paul).json()["refresh_token"] == first.json()["refresh_token"]


def test_repeat_after_30_s_ends_the_family(clinic: Clinic, owner: psycopg.Connection) -> None:
    successor = refresh(clinic.paul).json()["refresh_token"]
    turn_back(owner, clinic.paul.refresh_token, "used_at", timedelta(seconds=31))
    assert_invalid(refresh(clinic.paul))
    assert_invalid(refresh(clinic.paul, successor))


def test_reuse_after_the_successor_was_used_ends_the_family(clinic: Clinic) -> None:
    successor = refresh(clinic.paul).json()["refresh_token"]
    last = refresh(clinic.paul, successor).json()["refresh_token"]
    assert_invalid(refresh(clinic.paul))
    for token in (clinic.paul.refresh_token, successor, last):
        assert_invalid(refresh(clinic.paul, token))


def test_access_tokens_of_an_ended_family_die_within_a_second(clinic: Clinic) -> None:
    elsewhere = clinic.paul.in_another_session()
    successor = refresh(clinic.paul).json()["refresh_token"]
    refresh(clinic.paul, successor)
    assert_invalid(refresh(clinic.paul))
    assert_refused_within_a_second(clinic.paul)
    elsewhere.gets("/users/me", expect=200)


def test_reuse_leaves_other_sessions_alone(clinic: Clinic) -> None:
    elsewhere = clinic.paul.in_another_session()
    refresh(clinic.paul, refresh(clinic.paul).json()["refresh_token"])
    assert_invalid(refresh(clinic.paul))
    assert refresh(elsewhere).status_code == 200


def test_hundred_at_once_get_one_successor(clinic: Clinic, owner: psycopg.Connection) -> None:
    answers = at_once([lambda: refresh(clinic.paul)] * 100)
    assert {answer.status_code for answer in answers} == {200}
    [successor] = {answer.json()["refresh_token"] for answer in answers}
    assert refresh(clinic.paul, successor).status_code == 200
    rows = clinic.amara.audit_rows(action="session.refreshed", actor_id=clinic.paul.id)
    assert len(rows) == 2


def test_expired_token_is_refused_and_ends_nothing(clinic: Clinic, owner: psycopg.Connection) -> None:
    elsewhere = clinic.paul.in_another_session()
    turn_back(owner, clinic.paul.refresh_token, "expires_at", timedelta(days=30, seconds=1))
    assert_invalid(refresh(clinic.paul))
    assert refresh(elsewhere).status_code == 200


def test_token_is_good_for_30_days(clinic: Clinic, owner: psycopg.Connection) -> None:
    turn_back(owner, clinic.paul.refresh_token, "expires_at", timedelta(days=29, hours=23))
    assert refresh(clinic.paul).status_code == 200


def test_each_rotation_begins_another_30_days(clinic: Clinic, owner: psycopg.Connection) -> None:
    turn_back(owner, clinic.paul.refresh_token, "expires_at", timedelta(days=29))
    successor = refresh(clinic.paul).json()["refresh_token"]
    turn_back(owner, successor, "expires_at", timedelta(days=29))
    assert refresh(clinic.paul, successor).status_code == 200


def test_session_ends_after_90_days_however_often_it_is_refreshed(clinic: Clinic, owner: psycopg.Connection) -> None:
    session_of_paul = [clinic.id, clinic.paul.id]
    owner.execute(
        "UPDATE sessions SET created_at = now() - interval '89 days' WHERE clinic_id = %s AND user_id = %s",
        session_of_paul,
    )
    last = refresh(clinic.paul).json()["refresh_token"]
    [session] = clinic.paul.gets("/auth/sessions", expect=200).json()["items"]
    left = datetime.fromisoformat(session["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=23) < left <= timedelta(days=1, minutes=1)
    turn_back(owner, last, "expires_at", timedelta(days=1))
    assert_invalid(refresh(clinic.paul, last))
    clinic.paul.logs_in()


def test_token_of_another_clinic_is_nothing_here(clinic: Clinic, elsewhere: Clinic) -> None:
    parsed = RefreshToken.parse(elsewhere.paul.refresh_token or "")
    assert parsed is not None
    assert_invalid(refresh(clinic.paul, str(RefreshToken(clinic.id, parsed.secret))))
    response = refresh(elsewhere.paul)
    claims = jwt.decode(response.json()["access_token"], options={"verify_signature": False})
    assert claims["clinic"] == elsewhere.id


def test_disabled_user_is_refused(clinic: Clinic) -> None:
    clinic.amara.patches(f"/users/{clinic.paul.id}", {"is_active": False}, expect=200)
    assert_invalid(refresh(clinic.paul))
    clinic.amara.patches(f"/users/{clinic.paul.id}", {"is_active": True}, expect=200)
    assert_invalid(refresh(clinic.paul))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "no base64 at all!",
        "é" * 48,
        base64.urlsafe_b64encode(bytes(36)).decode(),
        base64.urlsafe_b64encode(b"\xff" * 36).decode(),
        base64.urlsafe_b64encode(b"\x7f" * 36).decode(),
        base64.urlsafe_b64encode(bytes(35)).decode(),
        "A" * 4096,
    ],
)
def test_what_never_was_a_token_is_401_invalid_token(clinic: Clinic, token: str) -> None:
    assert_invalid(clinic.nobody.posts("/auth/refresh", {"refresh_token": token}))


def test_access_token_is_no_refresh_token(clinic: Clinic) -> None:
    assert_invalid(refresh(clinic.paul, clinic.paul.token))


@pytest.mark.parametrize(
    "body", [{}, {"refresh_token": None}, {"refresh_token": 1}, {"refresh_token": "\0"}, {"token": "x"}]
)
def test_malformed_body_is_422(clinic: Clinic, body: dict[str, object]) -> None:
    assert clinic.nobody.posts("/auth/refresh", body, expect=422).json()["code"] == "validation_error"


def test_rotation_leaves_one_audit_row_and_its_repeat_none(clinic: Clinic) -> None:
    response = refresh(clinic.paul)
    refresh(clinic.paul)
    [row] = clinic.amara.audit_rows(action="session.refreshed", actor_id=clinic.paul.id)
    assert (row["actor_role"], row["entity_type"], row["outcome"]) == ("patient", "session", "success")
    assert row["request_id"] == response.headers["x-request-id"]


def test_end_of_a_family_leaves_one_audit_row(clinic: Clinic) -> None:
    assert clinic.paul.id, "asked for while his token is good"
    refresh(clinic.paul, refresh(clinic.paul).json()["refresh_token"])
    response = refresh(clinic.paul)
    refresh(clinic.paul)
    [row] = clinic.amara.audit_rows(action="session.token_reused")
    assert (row["actor_id"], row["entity_type"]) == (clinic.paul.id, "session")
    assert row["request_id"] == response.headers["x-request-id"]
