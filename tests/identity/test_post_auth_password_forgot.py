"""`POST /auth/password/forgot`: a mail for who has the account, and nothing to be learned for anybody else."""

import time
from typing import Any

import psycopg
import pytest
from httpx2 import Response

from app.identity.links.service import BEAT_S
from tests.cast import Clinic
from tests.mailbox import PUBLIC_URL, Mailbox, token_in
from tests.patience import at_once
from tests.tables import rows_of

FORGOT = "/auth/password/forgot"
AN_HOUR_AGO = "UPDATE links SET made_at = ARRAY(SELECT at - interval '61 minutes' FROM unnest(made_at) AS at)"


def forgets(clinic: Clinic, changes: dict[str, Any] | None = None) -> Response:
    body = {"email": "paul@clinic.test", "clinic": clinic.slug, **(changes or {})}
    return clinic.nobody.posts(FORGOT, {name: value for name, value in body.items() if value is not ...})


def about_nobody(clinic: Clinic) -> dict[str, dict[str, Any]]:
    """Whom no mail is sent to; Paul, active, is somebody."""
    clinic.amara.patches(f"/users/{clinic.petra.id}", {"is_active": False}, expect=200)
    return {
        "unknown": {"email": "unknown@clinic.test"},
        "inactive": {"email": clinic.petra.email},
        "unknown clinic": {"email": clinic.paul.email, "clinic": "nowhere"},
        "no e-mail at all": {"email": "paul"},
    }


def test_mail_goes_to_the_account_and_names_clinic_and_link(clinic: Clinic, mailbox: Mailbox) -> None:
    assert clinic.paul.id
    answer = forgets(clinic)
    assert (answer.status_code, answer.json()) == (202, {})
    mailbox.fills()
    [mail] = mailbox.mails()
    assert (mail["To"], mail["From"]) == (clinic.paul.email, "Clinic <no-reply@clinic.test>")
    assert (mail["Subject"], mail["Auto-Submitted"]) == ("Set a new password", "auto-generated")
    assert f"{PUBLIC_URL}/reset#token={token_in(mail)}" in mail.get_content().split()
    assert "Paul" not in mail.get_content(), "nothing that a stranger could have chosen"


def test_email_is_compared_as_at_login(clinic: Clinic, mailbox: Mailbox) -> None:
    assert clinic.paul.id
    forgets(clinic, {"email": " PAUL@Clinic.Test "})
    mailbox.fills()
    assert [mail["To"] for mail in mailbox.mails()] == [clinic.paul.email]


def test_answer_is_the_same_for_everybody_and_only_one_gets_a_mail(clinic: Clinic, mailbox: Mailbox) -> None:
    def told(body: dict[str, Any]) -> tuple[int, bytes, dict[str, str]]:
        answer = clinic.nobody.posts(FORGOT, body, headers={"X-Request-ID": "the-same-request"})
        return answer.status_code, answer.content, dict(answer.headers)

    nobody = [{"clinic": clinic.slug, **body} for body in about_nobody(clinic).values()]
    somebody = told({"email": clinic.paul.email, "clinic": clinic.slug})
    assert [told(body) for body in nobody] == [somebody] * len(nobody)
    mailbox.fills()
    assert [mail["To"] for mail in mailbox.mails()] == [clinic.paul.email]


def test_answer_takes_the_same_time_for_everybody(clinic: Clinic) -> None:
    def took(changes: dict[str, Any]) -> float:
        began = time.perf_counter()
        forgets(clinic, changes)
        return time.perf_counter() - began

    whom = [{}, *about_nobody(clinic).values()]
    fastest = [min(took(changes) for _ in range(5)) for changes in whom]
    assert min(fastest) >= BEAT_S
    assert max(fastest) - min(fastest) < BEAT_S / 4, fastest


def test_account_gets_three_mails_an_hour(clinic: Clinic, mailbox: Mailbox, owner: psycopg.Connection) -> None:
    assert clinic.paul.id
    for _ in range(5):
        assert forgets(clinic).status_code == 202
    assert rows_of(owner, "outbox", clinic) == 3
    owner.execute(f"{AN_HOUR_AGO} WHERE clinic_id = %s".encode(), [clinic.id])
    for _ in range(4):
        assert forgets(clinic).status_code == 202
    assert rows_of(owner, "outbox", clinic) == 6


def test_twenty_at_once_get_three_mails(clinic: Clinic, owner: psycopg.Connection) -> None:
    assert clinic.paul.id
    answers = at_once([lambda: forgets(clinic)] * 20)
    assert {answer.status_code for answer in answers} == {202}
    assert rows_of(owner, "outbox", clinic) == 3


def test_others_have_their_own_three(clinic: Clinic, elsewhere: Clinic, owner: psycopg.Connection) -> None:
    """The same e-mail in another clinic is somebody else's account."""
    assert clinic.paul.id
    assert elsewhere.paul.id
    for _ in range(4):
        forgets(clinic)
    forgets(elsewhere)
    assert (rows_of(owner, "outbox", clinic), rows_of(owner, "outbox", elsewhere)) == (3, 1)


def test_link_does_not_depend_on_what_the_request_says_of_its_host(clinic: Clinic, mailbox: Mailbox) -> None:
    assert clinic.paul.id
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Origin": "https://evil.example"}
    clinic.nobody.posts(FORGOT, {"email": clinic.paul.email, "clinic": clinic.slug}, headers=headers, expect=202)
    mailbox.fills()
    [mail] = mailbox.mails()
    assert "evil" not in str(mail)
    assert PUBLIC_URL in str(mail)


def test_no_row_holds_the_token(clinic: Clinic, mailbox: Mailbox, owner: psycopg.Connection) -> None:
    assert clinic.paul.id
    forgets(clinic)
    token = mailbox.token()
    for table in ("links", "outbox", "audit_logs"):
        rows = owner.execute(f"SELECT t::text FROM {table} AS t WHERE clinic_id = %s".encode(), [clinic.id]).fetchall()
        assert rows
        assert token not in str(rows)
    # What follows the clinic is the secret: its digest is stored, and the nonce that it is made of with a key.
    secret = owner.execute("SELECT translate(right(%s, 43), '-_', '+/')", [token]).fetchone()
    assert secret is not None
    [row] = owner.execute("SELECT nonce, token_hash FROM links WHERE clinic_id = %s", [clinic.id]).fetchall()
    assert all(secret[0].encode() not in column for column in row)


def test_every_request_leaves_one_audit_row(clinic: Clinic) -> None:
    nobody = about_nobody(clinic)
    forgets(clinic)
    for changes in nobody.values():
        forgets(clinic, changes)
    rows = clinic.amara.audit_rows(action="user.password_reset_asked")
    told = [(row["outcome"], row["entity_id"]) for row in reversed(rows)]
    # Nobody's row has no e-mail; another clinic's is not here.
    assert told == [("success", clinic.paul.id), ("failure", None), ("failure", clinic.petra.id), ("failure", None)]
    assert {(row["actor_id"], row["actor_role"], row["entity_type"]) for row in rows} == {(None, None, "user")}
    assert "clinic.test" not in str(rows)


def test_fourth_in_an_hour_is_a_failure_in_the_audit_log(clinic: Clinic) -> None:
    assert clinic.paul.id
    for _ in range(4):
        forgets(clinic)
    rows = clinic.amara.audit_rows(action="user.password_reset_asked", entity_id=clinic.paul.id)
    assert [row["outcome"] for row in rows] == ["failure", "success", "success", "success"]


@pytest.mark.parametrize(
    "changes", [{"email": ...}, {"email": None}, {"email": 5}, {"email": "a\0@b.test"}, {"email": "x" * 255},
                {"clinic": None}, {"clinic": "\0"}, {"password": "plum"}]
)  # fmt: skip
def test_malformed_body_is_422(clinic: Clinic, changes: dict[str, Any]) -> None:
    refused = forgets(clinic, changes)
    assert (refused.status_code, refused.json()["code"]) == (422, "validation_error")
