"""`telemed mail test`, and mails of a serving process."""

import email
import json
import socket
import time
from email.policy import default
from pathlib import Path
from urllib.request import Request, urlopen

from tests.cli.home import Home
from tests.proof.served import Served


def test_mail_goes_into_the_folder_where_there_is_no_server(home: Home) -> None:
    said = home.telemed("mail", "test", "you@clinic.test").stdout
    [path] = (home.data_dir / "mail").iterdir()
    assert str(home.data_dir / "mail") in said
    mail = email.message_from_bytes(path.read_bytes(), policy=default)
    assert (mail["To"], mail["Subject"]) == ("you@clinic.test", "Test of outgoing mail")
    assert "http://localhost:8000/" in mail.get_content()


def test_what_went_wrong_is_one_line_without_the_password(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    home = Home(tmp_path, SMTP_URL=f"smtp://u:canary@127.0.0.1:{port}", MAIL_FROM="no-reply@clinic.test")
    line = home.refuses("mail", "test", "you@clinic.test")
    assert f"smtp://127.0.0.1:{port}" in line
    assert "Connect call failed" in line
    assert "canary" not in line


def test_where_nothing_is_set_up_it_says_what_to_set(tmp_path: Path) -> None:
    home = Home(tmp_path, DATABASE_URL="postgresql://nobody@localhost:1/x", SECRET_KEY="x" * 20 + "y" * 20)
    assert "SMTP_URL" in home.refuses("mail", "test", "you@clinic.test")


def test_what_is_no_address_is_one_line(home: Home) -> None:
    assert "e-mail" in home.refuses("mail", "test", "nobody")


def test_serving_process_sends_mails_by_itself(served: Served) -> None:
    body = {"email": "ada@mail.test", "password": "plum-tractor-candle", "full_name": "Ada"}
    request = Request(
        f"http://127.0.0.1:{served.port}/auth/register",
        data=json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    with urlopen(request) as answer:
        assert answer.status == 201
    deadline = time.monotonic() + 15
    while not any("ada@mail.test" in path.read_text() for path in (served.data_dir / "mail").glob("*.eml")):
        assert time.monotonic() < deadline, "no mail"
        time.sleep(0.05)
