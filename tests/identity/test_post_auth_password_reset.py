"""`POST /auth/password/reset`: a new password with the token of a mail, once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import psycopg
import pytest
from httpx2 import Response

from tests.cast import PASSWORD, Clinic, Person
from tests.identity.factors import turns_on
from tests.mailbox import Mailbox
from tests.patience import assert_refused_within_a_second, at_once, wait_for_blocked

FORGOT, RESET, CHANGE = "/auth/password/forgot", "/auth/password/reset", "/auth/password"
NEW = "walnut-harbour-lamp"


@pytest.fixture
def paul(clinic: Clinic) -> Person:
    # Later his token may be void.
    assert clinic.paul.id
    return clinic.paul


def asks(person: Person, mailbox: Mailbox) -> str:
    """The token of the mail that the person gets."""
    person.clinic.nobody.posts(FORGOT, {"email": person.email, "clinic": person.clinic.slug}, expect=202)
    return mailbox.token()


def resets(clinic: Clinic, token: str, password: str = NEW) -> Response:
    return clinic.nobody.posts(RESET, {"token": token, "new_password": password})


def refused(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def login_status(person: Person, password: str) -> int:
    body = {"email": person.email, "password": password, "clinic": person.clinic.slug}
    return person.clinic.nobody.posts("/auth/login", body).status_code


def test_new_password_opens_and_the_old_one_does_not(paul: Person, mailbox: Mailbox) -> None:
    answer = resets(paul.clinic, asks(paul, mailbox))
    assert (answer.status_code, answer.content) == (204, b"")
    assert (login_status(paul, NEW), login_status(paul, PASSWORD)) == (200, 401)


def test_all_sessions_end_within_a_second(paul: Person, mailbox: Mailbox) -> None:
    at_home = paul.in_another_session()
    assert resets(paul.clinic, asks(paul, mailbox)).status_code == 204
    for person in (paul, at_home):
        gone = person.clinic.nobody.posts("/auth/refresh", {"refresh_token": person.refresh_token})
        assert refused(gone) == (401, "invalid_token")
    assert_refused_within_a_second(paul)
    assert_refused_within_a_second(at_home)


def test_sessions_of_others_go_on(clinic: Clinic, elsewhere: Clinic, mailbox: Mailbox) -> None:
    others = (clinic.petra, elsewhere.paul)
    tokens = [other.refresh_token for other in others]
    resets(clinic, asks(clinic.paul, mailbox))
    for token in tokens:
        clinic.nobody.posts("/auth/refresh", {"refresh_token": token}, expect=200)
    assert login_status(elsewhere.paul, PASSWORD) == 200


def test_link_is_good_once(paul: Person, mailbox: Mailbox) -> None:
    token = asks(paul, mailbox)
    assert resets(paul.clinic, token).status_code == 204
    assert refused(resets(paul.clinic, token, "pebble-orchard-train")) == (401, "invalid_token")
    assert login_status(paul, NEW) == 200


def test_of_many_with_one_link_at_once_one_wins(paul: Person, mailbox: Mailbox) -> None:
    token = asks(paul, mailbox)
    wishes = [f"walnut-harbour-{number}" for number in range(5)]
    answers = at_once([lambda wish=wish: resets(paul.clinic, token, wish) for wish in wishes])
    assert sorted(answer.status_code for answer in answers) == [204, 401, 401, 401, 401]
    opened = [login_status(paul, wish) == 200 for wish in wishes]
    assert opened == [answer.status_code == 204 for answer in answers]


def test_next_link_voids_the_one_before(paul: Person, mailbox: Mailbox) -> None:
    first, second = asks(paul, mailbox), asks(paul, mailbox)
    assert refused(resets(paul.clinic, first)) == (401, "invalid_token")
    assert resets(paul.clinic, second).status_code == 204


def test_request_that_gets_no_mail_voids_no_link(paul: Person, mailbox: Mailbox) -> None:
    tokens = [asks(paul, mailbox) for _ in range(4)]
    assert tokens[2] == tokens[3]
    assert resets(paul.clinic, tokens[2]).status_code == 204


def test_changed_password_voids_the_link(paul: Person, mailbox: Mailbox) -> None:
    token = asks(paul, mailbox)
    paul.posts(CHANGE, {"current_password": PASSWORD, "new_password": "pebble-orchard-train"}, expect=204)
    assert refused(resets(paul.clinic, token)) == (401, "invalid_token")


def test_link_is_over_after_an_hour(paul: Person, mailbox: Mailbox, owner: psycopg.Connection) -> None:
    token = asks(paul, mailbox)
    later = "UPDATE links SET expires_at = expires_at - make_interval(mins => %s) WHERE clinic_id = %s"
    owner.execute(later, [59, paul.clinic.id])
    assert refused(resets(paul.clinic, token, "password123")) == (422, "password_too_weak")
    owner.execute(later, [1, paul.clinic.id])
    assert refused(resets(paul.clinic, token)) == (401, "invalid_token")


def test_link_of_somebody_who_is_not_active_is_refused(paul: Person, mailbox: Mailbox) -> None:
    token = asks(paul, mailbox)
    paul.clinic.amara.patches(f"/users/{paul.id}", {"is_active": False}, expect=200)
    assert refused(resets(paul.clinic, token)) == (401, "invalid_token")


@pytest.mark.parametrize("weak", ["password123", "PAUL@clinic.test"])
def test_weak_password_is_refused_and_leaves_the_link_good(paul: Person, mailbox: Mailbox, weak: str) -> None:
    token = asks(paul, mailbox)
    assert refused(resets(paul.clinic, token, weak)) == (422, "password_too_weak")
    assert resets(paul.clinic, token).status_code == 204


def test_what_is_no_token_of_a_link_is_refused(clinic: Clinic, elsewhere: Clinic, mailbox: Mailbox) -> None:
    token = asks(clinic.paul, mailbox)
    assert elsewhere.paul.refresh_token
    of_another_clinic = elsewhere.paul.refresh_token[:6] + token[6:]
    last = "A" if token[-1] != "A" else "B"
    for wrong in ("", "x", token[:-1], token[:-1] + last, token + "A", of_another_clinic, clinic.paul.refresh_token):
        assert refused(resets(clinic, wrong)) == (401, "invalid_token"), wrong
    assert resets(clinic, token).status_code == 204


def test_refusal_is_the_same_for_every_reason(paul: Person, mailbox: Mailbox) -> None:
    token = asks(paul, mailbox)
    resets(paul.clinic, token)
    told = [
        paul.clinic.nobody.posts(RESET, {"token": wrong, "new_password": NEW}, headers={"X-Request-ID": "the-same-1"})
        for wrong in (token, "unknown", "A" * 48)
    ]
    assert len({answer.content for answer in told}) == 1
    assert told[0].json()["detail"] == "This link is no longer good. Ask for a new one."
    assert told[0].headers["www-authenticate"] == "Bearer"


def test_second_factor_stays_and_nobody_is_logged_in(
    paul: Person, mailbox: Mailbox, moment: datetime, owner: psycopg.Connection
) -> None:
    phone, _ = turns_on(paul, moment)
    assert resets(paul.clinic, asks(paul, mailbox)).status_code == 204
    live = "SELECT count(*) FROM sessions WHERE clinic_id = %s AND user_id = %s AND ended_at IS NULL"
    assert owner.execute(live, [paul.clinic.id, paul.id]).fetchone() == (0,)
    body = {"email": paul.email, "password": NEW, "clinic": paul.clinic.slug}
    assert refused(paul.clinic.nobody.posts("/auth/login", body)) == (401, "otp_required")
    paul.clinic.nobody.posts("/auth/login", {**body, "otp": phone.code()}, expect=200)


def test_reset_confirms_the_email(paul: Person, mailbox: Mailbox, owner: psycopg.Connection) -> None:
    confirmed = "SELECT email_confirmed_at IS NOT NULL FROM users WHERE clinic_id = %s AND id = %s"
    assert owner.execute(confirmed, [paul.clinic.id, paul.id]).fetchone() == (False,)
    resets(paul.clinic, asks(paul, mailbox))
    assert owner.execute(confirmed, [paul.clinic.id, paul.id]).fetchone() == (True,)


def test_reset_leaves_an_audit_row_and_a_refusal_none(paul: Person, mailbox: Mailbox) -> None:
    token = asks(paul, mailbox)
    assert [resets(paul.clinic, token).status_code for _ in range(2)] == [204, 401]
    [row] = paul.clinic.amara.audit_rows(action="user.password_reset")
    assert (row["actor_id"], row["actor_role"], row["entity_id"]) == (paul.id, "patient", paul.id)
    assert (row["outcome"], row["details"]) == ("success", {})


@pytest.mark.parametrize("is_reset_first", [True, False])
def test_login_with_the_old_password_at_the_same_moment_does_not_stay(
    paul: Person, mailbox: Mailbox, owner: psycopg.Connection, *, is_reset_first: bool
) -> None:
    token = asks(paul, mailbox)
    body = {"email": paul.email, "password": PASSWORD, "clinic": paul.clinic.slug}
    actions = [lambda: resets(paul.clinic, token), lambda: paul.clinic.nobody.posts("/auth/login", body)]
    order = actions if is_reset_first else actions[::-1]
    with ThreadPoolExecutor(2) as pool:
        with owner.transaction():
            owner.execute("SELECT FROM users WHERE clinic_id = %s FOR UPDATE", [paul.clinic.id])
            waiting = []
            for count, action in enumerate(order, start=1):
                waiting.append(pool.submit(action))
                wait_for_blocked(owner, count=count)
        reset, admitted = waiting if is_reset_first else waiting[::-1]
    assert reset.result().status_code == 204
    if admitted.result().status_code == 200:
        refresh = {"refresh_token": admitted.result().json()["refresh_token"]}
        assert paul.clinic.nobody.posts("/auth/refresh", refresh).status_code == 401


def test_of_reset_and_change_at_once_one_wins(paul: Person, mailbox: Mailbox) -> None:
    token = asks(paul, mailbox)
    body = {"current_password": PASSWORD, "new_password": "pebble-orchard-train"}
    reset, change = at_once([lambda: resets(paul.clinic, token), lambda: paul.posts(CHANGE, body)])
    assert sorted((reset.status_code, change.status_code)) == [204, 401]
    assert login_status(paul, NEW if reset.status_code == 204 else "pebble-orchard-train") == 200


@pytest.mark.parametrize(
    "changes",
    [{"token": None}, {"token": 5}, {"new_password": None}, {"new_password": "short"}, {"new_password": "x" * 257},
     {"new_password": "nul\0in-the-middle"}, {"email": "paul@clinic.test"}],
)  # fmt: skip
def test_malformed_body_is_422(clinic: Clinic, changes: dict[str, Any]) -> None:
    answer = clinic.nobody.posts(RESET, {"token": "x", "new_password": NEW, **changes})
    assert refused(answer) == (422, "validation_error")
    assert NEW not in answer.text
