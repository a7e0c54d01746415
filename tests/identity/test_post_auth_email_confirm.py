"""`POST /auth/email/confirm`: who registered proves to read what is sent to the e-mail."""

from typing import Any

import psycopg
import pytest
from httpx2 import Response

from tests.cast import PASSWORD, Clinic
from tests.mailbox import PUBLIC_URL, Mailbox, token_in
from tests.patience import at_once

CONFIRM = "/auth/email/confirm"
EMAIL = "ada@clinic.test"


@pytest.fixture
def ada(clinic: Clinic) -> dict[str, Any]:
    """Somebody who has just registered."""
    body = {"email": EMAIL, "password": PASSWORD, "full_name": "Ada Okafor", "clinic": clinic.slug}
    return dict(clinic.nobody.posts("/auth/register", body, expect=201).json())


def confirms(clinic: Clinic, token: str) -> Response:
    return clinic.nobody.posts(CONFIRM, {"token": token})


def refused(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def is_confirmed(owner: psycopg.Connection, clinic: Clinic) -> bool:
    query = "SELECT email_confirmed_at IS NOT NULL FROM users WHERE clinic_id = %s AND email = %s"
    row = owner.execute(query, [clinic.id, EMAIL]).fetchone()
    assert row is not None
    return bool(row[0])


def test_registering_sends_a_link_that_confirms(
    clinic: Clinic, ada: dict[str, Any], mailbox: Mailbox, owner: psycopg.Connection
) -> None:
    token = mailbox.token()
    [mail] = mailbox.mails()
    assert (mail["To"], mail["Subject"]) == (EMAIL, "Confirm your e-mail")
    assert f"{PUBLIC_URL}/confirm#token={token}" in mail.get_content().split()
    assert "Okafor" not in str(mail), "a stranger may have chosen the name"
    assert not is_confirmed(owner, clinic)
    answer = confirms(clinic, token)
    assert (answer.status_code, answer.content) == (204, b"")
    assert is_confirmed(owner, clinic)
    assert "email_confirmed_at" not in ada


def test_login_does_not_wait_for_it(clinic: Clinic, ada: dict[str, Any]) -> None:
    assert ada["is_active"]
    body = {"email": EMAIL, "password": PASSWORD, "clinic": clinic.slug}
    clinic.nobody.posts("/auth/login", body, expect=200)


def test_account_that_an_admin_makes_gets_no_mail(clinic: Clinic, mailbox: Mailbox) -> None:
    assert clinic.paul.id
    mailbox.fills()
    assert mailbox.mails() == []


def test_refused_registration_sends_nothing(clinic: Clinic, ada: dict[str, Any], mailbox: Mailbox) -> None:
    body = {"email": EMAIL.upper(), "password": PASSWORD, "full_name": "Another", "clinic": clinic.slug}
    clinic.nobody.posts("/auth/register", body, expect=409)
    mailbox.fills()
    assert len(mailbox.mails()) == 1


def test_link_is_good_once(clinic: Clinic, ada: dict[str, Any], mailbox: Mailbox) -> None:
    token = mailbox.token()
    answers = at_once([lambda: confirms(clinic, token)] * 3)
    assert sorted(answer.status_code for answer in answers) == [204, 401, 401]
    assert refused(confirms(clinic, token)) == (401, "invalid_token")
    assert len(clinic.amara.audit_rows(action="user.email_confirmed")) == 1


def test_confirmation_leaves_an_audit_row(clinic: Clinic, ada: dict[str, Any], mailbox: Mailbox) -> None:
    confirms(clinic, mailbox.token())
    [row] = clinic.amara.audit_rows(action="user.email_confirmed")
    assert (row["actor_id"], row["actor_role"], row["entity_id"]) == (ada["id"], "patient", ada["id"])


def test_link_is_over_after_seven_days(
    clinic: Clinic, ada: dict[str, Any], mailbox: Mailbox, owner: psycopg.Connection
) -> None:
    token = mailbox.token()
    owner.execute("UPDATE links SET expires_at = expires_at - interval '7 days' WHERE clinic_id = %s", [clinic.id])
    assert refused(confirms(clinic, token)) == (401, "invalid_token")
    assert not is_confirmed(owner, clinic)


def test_link_of_somebody_who_is_not_active_is_refused(clinic: Clinic, ada: dict[str, Any], mailbox: Mailbox) -> None:
    token = mailbox.token()
    clinic.amara.patches(f"/users/{ada['id']}", {"is_active": False}, expect=200)
    assert refused(confirms(clinic, token)) == (401, "invalid_token")


def test_changed_password_leaves_it_good(clinic: Clinic, ada: dict[str, Any], mailbox: Mailbox) -> None:
    token = mailbox.token()
    clinic.nobody.posts("/auth/password/forgot", {"email": EMAIL, "clinic": clinic.slug}, expect=202)
    reset = {"token": mailbox.token(), "new_password": "walnut-harbour-lamp"}
    clinic.nobody.posts("/auth/password/reset", reset, expect=204)
    assert confirms(clinic, token).status_code == 204


def test_link_is_good_for_its_purpose_only(clinic: Clinic, ada: dict[str, Any], mailbox: Mailbox) -> None:
    clinic.nobody.posts("/auth/password/forgot", {"email": EMAIL, "clinic": clinic.slug}, expect=202)
    mailbox.fills()
    confirmation, reset = (token_in(mail) for mail in mailbox.mails())
    assert refused(confirms(clinic, reset)) == (401, "invalid_token")
    body = {"token": confirmation, "new_password": "walnut-harbour-lamp"}
    assert refused(clinic.nobody.posts("/auth/password/reset", body)) == (401, "invalid_token")
    assert refused(clinic.nobody.posts("/auth/refresh", {"refresh_token": reset})) == (401, "invalid_token")


@pytest.mark.parametrize("body", [{}, {"token": None}, {"token": 5}, {"token": "x" * 4097}, {"token": "x", "more": 1}])
def test_malformed_body_is_422(clinic: Clinic, body: dict[str, Any]) -> None:
    assert refused(clinic.nobody.posts(CONFIRM, body)) == (422, "validation_error")
