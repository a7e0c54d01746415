"""`/auth/mfa/totp`: one-time codes of an app, turned on, asked for at every login, and turned off."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Barrier
from typing import Any

import psycopg
import pytest

from tests.cast import PASSWORD, Clinic, Person
from tests.identity.factors import CONFIRM, TOTP, WRONG, Phone, begins, login, refused, turns_on
from tests.patience import eventually


@pytest.fixture
def dora(clinic: Clinic) -> Person:
    return clinic.dora


def test_set_up_tells_what_an_app_needs_and_changes_nothing_yet(dora: Person, moment: datetime) -> None:
    told = dora.posts(TOTP, {"password": PASSWORD}, expect=200).json()
    assert told["otpauth_uri"].startswith("otpauth://totp/Telemed:")
    assert f"secret={told['secret']}" in told["otpauth_uri"]
    assert len(told["secret"]) == 32
    assert told["qr_svg"].startswith("<svg")
    assert login(dora).status_code == 200


def test_set_up_with_a_wrong_password_gets_401_invalid_credentials(dora: Person) -> None:
    assert refused(dora.posts(TOTP, {"password": "plum-tractor-kettle"})) == (401, "invalid_credentials")


def test_secret_that_was_not_confirmed_is_replaced_by_the_next_one(dora: Person, moment: datetime) -> None:
    first, second = begins(dora, moment), begins(dora, moment)
    assert refused(dora.posts(CONFIRM, {"otp": first.code()})) == (401, "otp_invalid")
    assert dora.posts(CONFIRM, {"otp": second.code()}).status_code == 200


def test_confirming_without_an_app_gets_401_otp_invalid(dora: Person) -> None:
    assert refused(dora.posts(CONFIRM, {"otp": WRONG})) == (401, "otp_invalid")


def test_confirmed_app_is_not_replaced_but_409_totp_already_on(dora: Person, moment: datetime) -> None:
    turns_on(dora, moment)
    assert refused(dora.posts(TOTP, {"password": PASSWORD})) == (409, "totp_already_on")


def test_login_needs_a_code_once_codes_are_on(dora: Person, moment: datetime) -> None:
    phone, _ = turns_on(dora, moment)
    assert refused(login(dora)) == (401, "otp_required")
    assert refused(login(dora, WRONG)) == (401, "otp_invalid")
    assert refused(login(dora, "twelve")) == (401, "otp_invalid")
    assert login(dora, phone.code()).status_code == 200


def test_form_of_oauth_needs_a_code_too(dora: Person, moment: datetime) -> None:
    phone, _ = turns_on(dora, moment)
    form = {"username": dora.email, "password": PASSWORD, "clinic": dora.clinic.slug}
    assert refused(dora.clinic.nobody.posts("/auth/token", data=form)) == (401, "otp_required")
    form["otp"] = phone.code()
    assert dora.clinic.nobody.posts("/auth/token", data=form).status_code == 200


def test_wrong_password_is_told_nothing_of_codes_and_uses_none_up(dora: Person, moment: datetime) -> None:
    phone, _ = turns_on(dora, moment)
    for otp in (None, WRONG, phone.code()):
        assert refused(login(dora, otp, password="plum-tractor-kettle")) == (401, "invalid_credentials")
    assert login(dora, phone.code()).status_code == 200


def test_code_is_good_once(dora: Person, moment: datetime) -> None:
    phone, _ = turns_on(dora, moment)
    assert login(dora, phone.code()).status_code == 200
    assert refused(login(dora, phone.code())) == (401, "otp_invalid")
    assert refused(login(dora, phone.code(-1))) == (401, "otp_invalid")
    assert login(dora, phone.code(1)).status_code == 200


@pytest.mark.parametrize("by", ["app", "paper"])
def test_of_five_with_one_code_at_once_one_gets_in(dora: Person, moment: datetime, by: str) -> None:
    phone, codes = turns_on(dora, moment)
    code, barrier = phone.code() if by == "app" else codes[0], Barrier(5)

    def logs_in(_: int) -> int:
        barrier.wait()
        return login(dora, code).status_code

    with ThreadPoolExecutor(5) as people:
        assert sorted(people.map(logs_in, range(5))) == [200] + [401] * 4


def test_recovery_code_is_good_once_however_it_is_typed(dora: Person, moment: datetime) -> None:
    _, codes = turns_on(dora, moment)
    assert len(set(codes)) == 10
    first, second = codes[0], codes[1].lower().replace("-", " ")
    assert login(dora, first).status_code == 200
    assert refused(login(dora, first)) == (401, "otp_invalid")
    assert login(dora, second).status_code == 200


def test_recovery_code_of_somebody_else_is_401_otp_invalid(clinic: Clinic, moment: datetime) -> None:
    _, codes = turns_on(clinic.dora, moment)
    turns_on(clinic.dev, moment)
    assert refused(login(clinic.dev, codes[0])) == (401, "otp_invalid")


@pytest.mark.parametrize("change", ["on", "off"])
def test_change_of_the_factor_ends_other_sessions_and_keeps_this_one(
    dora: Person, moment: datetime, change: str
) -> None:
    if change == "off":
        phone, _ = turns_on(dora, moment)
        tokens = login(dora, phone.code()).json()
        other = Person(dora.clinic, email=dora.email)
        other.token, other.refresh_token = tokens["access_token"], tokens["refresh_token"]
        dora.deletes(TOTP, json={"otp": phone.code(1)}, expect=204)
    else:
        other = dora.in_another_session()
        turns_on(dora, moment)
    assert refused(other.posts("/auth/refresh", {"refresh_token": other.refresh_token})) == (401, "invalid_token")
    eventually(lambda: other.gets("/users/me").status_code == 401)
    assert dora.gets("/users/me").status_code == 200


@pytest.mark.parametrize("by", ["app", "paper"])
def test_codes_are_turned_off_with_a_code(dora: Person, moment: datetime, by: str) -> None:
    phone, codes = turns_on(dora, moment)
    assert refused(dora.deletes(TOTP, json={"otp": WRONG})) == (401, "otp_invalid")
    dora.deletes(TOTP, json={"otp": phone.code() if by == "app" else codes[0]}, expect=204)
    assert login(dora).status_code == 200
    assert refused(dora.deletes(TOTP, json={"otp": codes[1]})) == (401, "otp_invalid")
    turns_on(dora, moment)


def test_code_that_logged_in_does_not_turn_codes_off(dora: Person, moment: datetime) -> None:
    phone, codes = turns_on(dora, moment)
    for code in (phone.code(), codes[0]):
        assert login(dora, code).status_code == 200
        assert refused(dora.deletes(TOTP, json={"otp": code})) == (401, "otp_invalid")


def test_guessing_gets_429_rate_limited_and_nobody_else_notices(clinic: Clinic, moment: datetime) -> None:
    phone, _ = turns_on(clinic.dora, moment)
    for _ in range(5):
        assert refused(login(clinic.dora, WRONG)) == (401, "otp_invalid")
    answer = login(clinic.dora, phone.code())
    assert refused(answer) == (429, "rate_limited")
    assert int(answer.headers["retry-after"]) in (1, 2)
    assert refused(clinic.dora.deletes(TOTP, json={"otp": phone.code()})) == (429, "rate_limited")
    assert login(clinic.dev).status_code == 200


def test_who_waited_gets_in_with_the_right_code(
    clinic: Clinic, moment: datetime, owner: psycopg.Connection[Any]
) -> None:
    phone, _ = turns_on(clinic.dora, moment)
    for _ in range(5):
        login(clinic.dora, WRONG)
    owner.execute("UPDATE totp_secrets SET failed_at = failed_at - interval '1 hour' WHERE clinic_id = %s", [clinic.id])
    assert login(clinic.dora, phone.code()).status_code == 200
    assert refused(login(clinic.dora, WRONG)) == (401, "otp_invalid")


def test_stranger_without_the_password_keeps_nobody_waiting(dora: Person, moment: datetime) -> None:
    phone, _ = turns_on(dora, moment)
    for _ in range(8):
        assert refused(login(dora, WRONG, password="plum-tractor-kettle")) == (401, "invalid_credentials")
    assert login(dora, phone.code()).status_code == 200


def test_everything_leaves_a_row_and_none_tells_a_secret(clinic: Clinic, moment: datetime) -> None:
    dora = clinic.dora
    told = dora.posts(TOTP, {"password": PASSWORD}, expect=200).json()
    phone = Phone(told["secret"], moment)
    codes = dora.posts(CONFIRM, {"otp": phone.code(-1)}, expect=200).json()["recovery_codes"]
    login(dora)
    login(dora, WRONG)
    login(dora, phone.code())
    dora.deletes(TOTP, json={"otp": codes[0]}, expect=204)
    rows = clinic.amara.audit_rows(entity_id=dora.id)
    told_of = [(row["action"], row["outcome"]) for row in rows[:6]]
    assert told_of == [
        ("user.totp_removed", "success"),
        ("user.logged_in", "success"),
        ("user.login_failed", "failure"),
        ("user.login_failed", "failure"),
        ("user.totp_confirmed", "success"),
        ("user.totp_begun", "success"),
    ]
    assert [row["details"].get("reason") for row in rows[2:4]] == ["otp_invalid", "otp_required"]
    for secret in (told["secret"], *codes, phone.code(), phone.code(-1)):
        assert secret not in json.dumps([{**row, "id": "", "request_id": "", "entity_id": ""} for row in rows])


def test_table_keeps_no_secret_that_could_be_read_or_moved(
    clinic: Clinic, moment: datetime, owner: psycopg.Connection[Any]
) -> None:
    told = clinic.dora.posts(TOTP, {"password": PASSWORD}, expect=200).json()
    begins(clinic.dev, moment)
    kept = owner.execute("SELECT sealed FROM totp_secrets WHERE user_id = %s", [clinic.dora.id]).fetchone()
    assert kept is not None
    assert told["secret"].encode() not in kept[0]
    owner.execute("UPDATE totp_secrets SET sealed = %s WHERE user_id = %s", [kept[0], clinic.dev.id])
    code = Phone(told["secret"], moment).code()
    assert refused(clinic.dev.posts(CONFIRM, {"otp": code})) == (500, "internal_error")
