"""What a mail is made of, as it travels."""

from datetime import UTC, datetime
from email import message_from_bytes, policy

import pytest

from app.mail.rules import Mail, message, wire_address

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
SENDER = "The clinic <post@clinic.test>"


def test_mail_says_from_whom_to_whom_about_what_and_when() -> None:
    made = message(Mail("dora@clinic.test", "Set a new password", "Hello.\n"), sender=SENDER, id="abc", now=NOW)
    read = message_from_bytes(made.as_bytes(), policy=policy.default)
    assert dict(read.items()) == {
        "From": SENDER,
        "To": "dora@clinic.test",
        "Subject": "Set a new password",
        "Date": "Thu, 31 Jan 2030 12:00:00 +0000",
        "Message-ID": "<abc@clinic.test>",
        "Auto-Submitted": "auto-generated",
        "Content-Type": 'text/plain; charset="utf-8"',
        "Content-Transfer-Encoding": "7bit",
        "MIME-Version": "1.0",
    }
    assert b"\r\nMessage-ID: <abc@clinic.test>\r\n" in made.as_bytes()
    assert read.get_content() == "Hello.\r\n"


def test_sender_may_have_no_name() -> None:
    made = message(Mail("dora@clinic.test", "s", "t"), sender="post@clinic.test", id="abc", now=NOW)
    assert (made["From"], made["Message-ID"]) == ("post@clinic.test", "<abc@clinic.test>")


@pytest.mark.parametrize(
    ("email", "wire"),
    [
        ("dora@clinic.test", "dora@clinic.test"),
        ("dora@münchen.example", "dora@xn--mnchen-3ya.example"),
        ("dörte@münchen.example", "dörte@xn--mnchen-3ya.example"),
        ("dora@münchen.test", "dora@xn--mnchen-3ya.test"),
        ("dora@münchen.lan1", "dora@xn--mnchen-3ya.lan1"),
        ("no e-mail", "no e-mail"),
    ],
)
def test_domain_travels_in_ascii(email: str, wire: str) -> None:
    assert wire_address(email) == wire
    if "@" in wire:
        made = message(Mail(email, "s", "t"), sender=SENDER, id="abc", now=NOW)
        assert made["To"] == wire
        # Only a mailbox in another script needs a server that takes UTF-8.
        assert made.policy.utf8 is not wire.isascii()


def test_long_address_is_not_broken_in_two() -> None:
    mailbox = "d" * 60
    link = f"https://clinic.test/{'x' * 900}"
    made = message(Mail(f"{mailbox}@{'long.' * 30}test", "s", f"{link}\n"), sender=SENDER, id="abc", now=NOW)
    assert link.encode() in made.as_bytes()
    assert f"To: {mailbox}@{'long.' * 30}test\r\n".encode() in made.as_bytes()
    assert made.policy.max_line_length == 998
