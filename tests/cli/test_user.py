import json
from urllib.request import Request, urlopen

import pytest

from tests.cli.home import Home
from tests.proof.served import Served

PASSWORD = "plum-tractor-candle"


def create(
    email: str | bytes, *more: str | bytes, role: str = "patient", name: str | bytes = "Ada"
) -> list[str | bytes]:
    return ["user", "create", email, "--role", role, "--name", name, "--password-stdin", *more]


def log_in(served: Served, email: str, password: str = PASSWORD) -> int:
    body = json.dumps({"email": email, "password": password}).encode()
    request = Request(
        f"http://127.0.0.1:{served.port}/auth/login", data=body, headers={"content-type": "application/json"}
    )
    with urlopen(request) as answer:
        return int(answer.status)


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
