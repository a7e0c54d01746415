import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pyotp
import pytest

from tests.cli.home import Home
from tests.proof.served import Served

PASSWORD = "plum-tractor-candle"


def create(
    email: str | bytes, *more: str | bytes, role: str = "patient", name: str | bytes = "Ada"
) -> list[str | bytes]:
    return ["user", "create", email, "--role", role, "--name", name, "--password-stdin", *more]


def log_in(served: Served, email: str, password: str = PASSWORD) -> int:
    return post(served, "/auth/login", {"email": email, "password": password})[0]


def post(served: Served, path: str, body: dict[str, str], token: str | None = None) -> tuple[int, dict[str, Any]]:
    headers = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
    request = Request(f"http://127.0.0.1:{served.port}{path}", data=json.dumps(body).encode(), headers=headers)
    try:
        with urlopen(request) as answer:
            return int(answer.status), json.load(answer)
    except HTTPError as error:
        return error.code, json.load(error)


def test_user_who_is_made_while_serving_can_log_in(served: Served, beside: Home) -> None:
    said = beside.telemed(*create("admin@first.test", role="admin"), given=PASSWORD + "\n").stdout
    assert "admin" in said
    assert PASSWORD not in said
    assert log_in(served, "ADMIN@first.test") == 200


def test_doctor_has_a_specialty_and_a_clinic(beside: Home) -> None:
    beside.telemed("clinic", "create", "south")
    beside.telemed(
        *create("dora@south.test", "--specialty", "Dermatology", "--clinic", "south", role="doctor"), given=PASSWORD
    )


def test_taken_email_is_one_line(beside: Home) -> None:
    beside.telemed(*create("twice@clinic.test"), given=PASSWORD)
    assert "e-mail" in beside.refuses(*create(" TWICE@clinic.test "), given=PASSWORD)


@pytest.mark.parametrize(
    ("arguments", "given", "hint"),
    [
        (create("a@b.test"), "password123", "common"),
        (create("a@b.test", "--clinic", "nowhere"), PASSWORD, "telemed clinic create nowhere"),
    ],
    ids=["weak password", "unknown clinic"],
)
def test_what_the_clinic_refuses_is_one_line(beside: Home, arguments: list[str | bytes], given: str, hint: str) -> None:
    assert hint in beside.refuses(*arguments, given=given)


@pytest.mark.parametrize(
    ("arguments", "given", "hint"),
    [
        (create("a@b.test", "--specialty", "Dermatology"), PASSWORD, "doctors only"),
        (create("a@b.test", "--specialty", "", role="doctor"), PASSWORD, "--specialty"),
        (create("a@b.test", "--specialty", "x" * 201, role="doctor"), PASSWORD, "--specialty"),
        (create("a@b.test", role="king"), PASSWORD, "admin, doctor or patient"),
        (create("a@b.test", name=" "), PASSWORD, "--name"),
        (create("a@b.test", name="x" * 201), PASSWORD, "--name"),
        (create("a@b.test", name=b"\xff\xfe"), PASSWORD, "UTF-8"),
        (create(b"\xff@b.test"), PASSWORD, "e-mail"),
        (create("nobody"), PASSWORD, "e-mail"),
        (create("a@b.test"), "", "8 to 256"),
        (create("a@b.test"), "short", "8 to 256"),
        (create("a@b.test"), "x" * 257, "8 to 256"),
        (create("a@b.test"), b"nul\0in-the-middle", "NUL"),
        (create("a@b.test"), b"\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8", "UTF-8"),
    ],
    ids=[
        "specialty of a patient",
        "empty specialty",
        "long specialty",
        "role",
        "blank name",
        "long name",
        "name of bytes",
        "e-mail of bytes",
        "e-mail",
        "no password",
        "short",
        "long",
        "NUL",
        "password of bytes",
    ],
)
def test_what_cannot_be_is_one_line_before_anything_is_started(
    home: Home, arguments: list[str | bytes], given: str | bytes, hint: str
) -> None:
    assert hint in home.refuses(*arguments, given=given)
    assert not home.data_dir.exists()


def test_who_has_lost_app_and_paper_gets_in_after_reset_codes(served: Served, beside: Home) -> None:
    beside.telemed(*create("lost@phone.test"), given=PASSWORD + "\n")
    token = post(served, "/auth/login", {"email": "lost@phone.test", "password": PASSWORD})[1]["access_token"]
    secret = post(served, "/auth/mfa/totp", {"password": PASSWORD}, token)[1]["secret"]
    assert post(served, "/auth/mfa/totp/confirm", {"otp": pyotp.TOTP(secret).now()}, token)[0] == 200
    assert log_in(served, "lost@phone.test") == 401
    assert "password alone" in beside.telemed("user", "reset-codes", "LOST@phone.test").stdout
    assert log_in(served, "lost@phone.test") == 200
    assert "no second factor" in beside.refuses("user", "reset-codes", "lost@phone.test")
    assert "no user" in beside.refuses("user", "reset-codes", "nobody@phone.test")
