"""Handing mails to a mail server: over TLS, with a password only over TLS, and understanding what it says."""

import asyncio
import email
import selectors
import socket
from collections.abc import Callable
from email.policy import default
from urllib.parse import quote

import pytest

from app.mail import transports
from app.mail.errors import MailDelayed, MailRefused
from app.mail.rules import Mail
from app.mail.service import Post
from app.mail.transports import MailServer
from tests.mail.conftest import ADDRESS, PASSWORD, USER, Server

MAIL = Mail(
    "ada@clinic.test", "Hello", "A first line.\n\n    https://clinic.test/" + "x" * 120 + "\n.\nThe last one.\n"
)
Opened = Callable[..., Server]


def sends(url: str, mail: Mail = MAIL) -> None:
    post = Post("Clinic <no-reply@clinic.test>", MailServer(url))
    selector = selectors.DefaultSelector()

    async def conversation() -> None:
        try:
            await post.send(mail, id="0198c0de-7a3f-7c11-9d2e-5b1f0a6c4e21")
        finally:
            # Over TLS both sides say goodbye; a loop that ends before leaves a socket open. One name is the loop's own.
            while len(selector.get_map()) > 1:
                await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(conversation())


def url_of(server: Server, scheme: str = "smtp", *, password: str | None = None) -> str:
    login = "" if password is None else f"{USER}:{quote(password, safe='')}@"
    return f"{scheme}://{login}{ADDRESS}:{server.port}"


def test_server_gets_the_mail_as_it_was_written(opened: Opened) -> None:
    server = opened()
    sends(url_of(server))
    [envelope] = server.mails
    assert (envelope.mail_from, envelope.rcpt_tos) == ("no-reply@clinic.test", ["ada@clinic.test"])
    got = email.message_from_bytes(envelope.content, policy=default)
    assert got.get_content().replace("\r\n", "\n") == MAIL.text
    assert got["From"] == "Clinic <no-reply@clinic.test>"
    assert got["Message-ID"] == "<0198c0de-7a3f-7c11-9d2e-5b1f0a6c4e21@clinic.test>"
    assert b"x" * 120 in envelope.content, "no address is broken in two"


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(("kind", "scheme"), [("starttls", "smtp"), ("smtps", "smtps")])
def test_conversation_is_secret_where_the_server_can(opened: Opened, kind: str, scheme: str) -> None:
    server = opened(kind)
    sends(url_of(server, scheme))
    assert server.was_secure == [True]


@pytest.mark.parametrize(("kind", "scheme"), [("starttls", "smtp"), ("smtps", "smtps")])
def test_certificate_that_nobody_vouches_for_is_not_talked_to(opened: Opened, kind: str, scheme: str) -> None:
    server = opened(kind)
    with pytest.raises(MailDelayed) as caught:
        sends(url_of(server, scheme))
    assert "certificate" in caught.value.detail.lower()
    assert server.mails == []


@pytest.mark.usefixtures("trusted")
def test_password_is_said_over_tls(opened: Opened) -> None:
    server = opened("starttls", asks_login=True)
    sends(url_of(server, password=PASSWORD))
    assert server.logins == [(USER.encode(), PASSWORD.encode())]
    assert server.was_secure == [True]


def test_password_is_not_said_to_another_machine_without_tls(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    server = opened(asks_login=True)
    monkeypatch.setattr(transports, "_LOOPBACK", frozenset())
    with pytest.raises(MailDelayed) as caught:
        sends(url_of(server, password=PASSWORD))
    assert "STARTTLS" in caught.value.detail
    assert server.logins == []


def test_password_is_said_on_this_machine(opened: Opened) -> None:
    server = opened(asks_login=True)
    sends(url_of(server, password=PASSWORD))
    assert len(server.mails) == 1


@pytest.mark.usefixtures("trusted")
def test_wrong_password_is_a_delay_until_it_is_set_right(opened: Opened) -> None:
    server = opened("starttls", asks_login=True)
    with pytest.raises(MailDelayed) as caught:
        sends(url_of(server, password="wrong"))
    assert not isinstance(caught.value, MailRefused)
    assert (caught.value.reason, caught.value.smtp_code) == ("SMTPAuthenticationError", 535)


@pytest.mark.parametrize(
    ("to_recipient", "answer", "error", "code"),
    [
        ("550 no such mailbox", "250 OK", MailRefused, 550),
        ("450 come again (greylisted)", "250 OK", MailDelayed, 450),
        ("250 OK", "554 spam", MailRefused, 554),
        ("250 OK", "452 disk full", MailDelayed, 452),
    ],
)
def test_what_the_server_says_decides(
    opened: Opened, to_recipient: str, answer: str, error: type[MailDelayed], code: int
) -> None:
    server = opened()
    server.to_recipient, server.answer = to_recipient, answer
    with pytest.raises(MailDelayed) as caught:
        sends(url_of(server))
    assert (type(caught.value), caught.value.smtp_code) == (error, code)
    assert "ada" not in caught.value.reason


def test_nobody_there_is_a_delay() -> None:
    with socket.create_server((ADDRESS, 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(MailDelayed) as caught:
        sends(f"smtp://{ADDRESS}:{port}")
    assert not isinstance(caught.value, MailRefused)


def test_server_that_says_nothing_is_a_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transports, "SEND_S_MAX", 0.2)
    with socket.create_server((ADDRESS, 0)) as silent, pytest.raises(MailDelayed) as caught:
        sends(f"smtp://{ADDRESS}:{silent.getsockname()[1]}")
    assert caught.value.reason == "TimeoutError"


def test_domain_in_another_script_is_written_in_ascii(opened: Opened) -> None:
    server = opened()
    sends(url_of(server), Mail("ada@münchen.example", "Hello", "Text.\n"))
    assert server.mails[0].rcpt_tos == ["ada@xn--mnchen-3ya.example"]


def test_mailbox_in_another_script_needs_a_server_that_can(opened: Opened) -> None:
    server = opened()
    with pytest.raises(MailRefused):
        sends(url_of(server), Mail("ädä@clinic.test", "Hello", "Text.\n"))
    assert server.mails == []


def test_place_tells_no_password(opened: Opened) -> None:
    server = MailServer("smtps://user:canary@mail.clinic.test:465")
    assert server.place == "smtps://mail.clinic.test:465"
    assert "canary" not in repr(server)
