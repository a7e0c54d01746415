"""The postman: what the outbox says leaves as mail, once, whatever becomes of the others."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest
import structlog

from app.mail.errors import MailDelayed, MailRefused
from app.observability import logs
from tests.cast import PASSWORD, Clinic
from tests.mailbox import Mailbox, MemoryMail
from tests.patience import at_once

AWAY = MailDelayed("SMTPConnectError", "nobody answers at mail.clinic.test")
NOBODY = MailRefused("SMTPRecipientsRefused", "no ada@clinic.test here", smtp_code=550)


@pytest.fixture
def memory(mailbox: Mailbox) -> MemoryMail:
    """What was left over by other tests is gone."""
    mailbox.fills(MemoryMail())
    return MemoryMail()


def registers(clinic: Clinic, name: str) -> str:
    """Somebody to whom a mail is due; their e-mail."""
    email = f"{name}.{clinic.slug}@clinic.test"
    body = {"email": email, "password": PASSWORD, "full_name": name.title(), "clinic": clinic.slug}
    clinic.nobody.posts("/auth/register", body, expect=201)
    return email


def events(owner: psycopg.Connection[Any], clinic: Clinic) -> list[tuple[bool, int, float]]:
    """Of each event: is it published, how often was it tried, in how many minutes is it due."""
    return owner.execute(
        "SELECT published_at IS NOT NULL, attempts, round(extract(epoch FROM due_at - now()) / 60)::int FROM outbox"
        " WHERE clinic_id = %s ORDER BY created_at",
        [clinic.id],
    ).fetchall()


def pause_is_over(owner: psycopg.Connection[Any], clinic: Clinic) -> None:
    owner.execute("UPDATE outbox SET due_at = now() WHERE clinic_id = %s AND due_at IS NOT NULL", [clinic.id])


def received(memory: MemoryMail) -> list[str]:
    return [str(mail["To"]) for mail in memory.sent]


def test_mail_that_left_is_published_and_never_sent_again(
    clinic: Clinic, mailbox: Mailbox, memory: MemoryMail, owner: psycopg.Connection
) -> None:
    email = registers(clinic, "ada")
    assert events(owner, clinic) == [(False, 0, 0)]
    mailbox.fills(memory)
    assert events(owner, clinic) == [(True, 1, 1)]
    pause_is_over(owner, clinic)
    mailbox.fills(memory)
    assert received(memory) == [email]


def test_more_than_a_handful_leave_in_one_round(clinic: Clinic, mailbox: Mailbox, memory: MemoryMail) -> None:
    emails = [registers(clinic, f"ada{number}") for number in range(20)]
    mailbox.fills(memory)
    assert sorted(received(memory)) == sorted(emails)


def test_several_postmen_at_once_send_each_mail_once(clinic: Clinic, mailbox: Mailbox, memory: MemoryMail) -> None:
    emails = [registers(clinic, f"ada{number}") for number in range(20)]
    at_once([lambda: mailbox.fills(memory)] * 4)
    assert sorted(received(memory)) == sorted(emails)


def test_mail_whose_postman_died_is_sent_after_the_pause_under_the_same_id(
    clinic: Clinic, mailbox: Mailbox, memory: MemoryMail, owner: psycopg.Connection
) -> None:
    """He had sent it, and said so to nobody."""
    registers(clinic, "ada")
    mailbox.fills(memory)
    owner.execute("UPDATE outbox SET published_at = NULL WHERE clinic_id = %s", [clinic.id])
    mailbox.fills(memory)
    assert len(memory.sent) == 1, "his minute is not over"
    pause_is_over(owner, clinic)
    mailbox.fills(memory)
    first, again = memory.sent
    assert first["Message-ID"] == again["Message-ID"]
    assert first.get_content() == again.get_content()


def test_pauses_grow_from_a_minute_to_six_hours(
    clinic: Clinic, mailbox: Mailbox, memory: MemoryMail, owner: psycopg.Connection
) -> None:
    email = registers(clinic, "ada")
    memory.errors[email] = AWAY
    pauses = []
    for _ in range(11):
        mailbox.fills(memory)
        [(is_published, _, minutes)] = events(owner, clinic)
        assert not is_published
        pauses.append(minutes)
        pause_is_over(owner, clinic)
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360]
    memory.errors.clear()
    mailbox.fills(memory)
    assert received(memory) == [email]


def test_mail_that_cannot_leave_holds_up_no_other(
    clinic: Clinic, mailbox: Mailbox, memory: MemoryMail, owner: psycopg.Connection
) -> None:
    emails = [registers(clinic, f"ada{number}") for number in range(4)]
    memory.errors = {emails[0]: AWAY, emails[1]: NOBODY, emails[2]: ValueError(f"a bug, and {emails[2]}")}
    logs.configure("warning")
    with structlog.testing.capture_logs() as lines:
        mailbox.fills(memory)
    assert received(memory) == [emails[3]]
    assert [published for published, *_ in events(owner, clinic)] == [False, True, False, True]
    told = {
        line["event"]: (line["attempts"], line.get("reason"), line.get("smtp_code"))
        for line in lines
        if line["log_level"] != "info"
    }
    assert told == {
        "mail delayed": (1, "SMTPConnectError", None),
        "mail refused": (1, "SMTPRecipientsRefused", 550),
        "mail failed": (1, None, None),
    }
    assert "clinic.test" not in str([{**line, "exc_info": None} for line in lines])


def test_link_that_is_over_makes_no_mail(
    clinic: Clinic, mailbox: Mailbox, memory: MemoryMail, owner: psycopg.Connection
) -> None:
    """Superseded before it was sent: of two, the newest is."""
    assert clinic.paul.id
    for _ in range(2):
        clinic.nobody.posts("/auth/password/forgot", {"email": clinic.paul.email, "clinic": clinic.slug}, expect=202)
    expired = registers(clinic, "ada")
    owner.execute("UPDATE links SET expires_at = now() WHERE clinic_id = %s AND purpose = 'confirm_email'", [clinic.id])
    mailbox.fills(memory)
    assert received(memory) == [clinic.paul.email]
    assert expired not in received(memory)
    assert [published for published, *_ in events(owner, clinic)] == [True] * 3


def test_link_of_another_key_makes_no_mail(
    clinic: Clinic, mailbox: Mailbox, memory: MemoryMail, owner: psycopg.Connection
) -> None:
    """PEPPER was changed in between: what the mail would bring opens nothing."""
    registers(clinic, "ada")
    logs.configure("warning")
    with structlog.testing.capture_logs() as lines:
        mailbox.fills(memory, pepper="another-pepper-0123456789-abcdefghijklmnopqrstuvwxyz")
    assert memory.sent == []
    assert events(owner, clinic) == [(True, 1, 1)]
    assert [line["event"] for line in lines] == ["link was made with another key"]


def test_events_that_nobody_mails_stay_as_they_are(
    clinic: Clinic, mailbox: Mailbox, memory: MemoryMail, owner: psycopg.Connection
) -> None:
    clinic.paul.has_booked(clinic.dora.offers())
    mailbox.fills(memory)
    assert events(owner, clinic) == [(False, 0, None)]


def test_event_of_an_old_month_is_delivered_too(
    clinic: Clinic, mailbox: Mailbox, memory: MemoryMail, owner: psycopg.Connection
) -> None:
    email = registers(clinic, "ada")
    owner.execute(
        "UPDATE outbox SET created_at = created_at - %s WHERE clinic_id = %s", [timedelta(days=99), clinic.id]
    )
    mailbox.fills(memory)
    assert received(memory) == [email]
    assert events(owner, clinic) == [(True, 1, 1)]
