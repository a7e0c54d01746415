"""Sending what the outbox says, letter by letter."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from app.db.database import Database
from app.kit import clock
from app.kit.errors import Unavailable
from app.kit.ids import uuid7
from app.mail.errors import MailDelayed, MailRefused
from app.mail.rules import Mail, message
from app.mail.transports import Folder, MailServer, Screen, Transport
from app.observability import logs
from app.outbox import service as outbox
from app.outbox.sql import DueEvent
from app.settings import Settings

# Writes the mail that an event asks for; `None` if there is nothing left to say.
Letter = Callable[[Database, DueEvent], Awaitable[Mail | None]]

_log = logs.logger("mail")


@dataclass(frozen=True, slots=True)
class Post:
    """Who the mails are from, and on which way they leave."""

    sender: str
    transport: Transport

    async def send(self, mail: Mail, *, id: str) -> None:
        """The mail is on its way. Raises `MailDelayed`, `MailRefused`."""
        await self.transport.send(message(mail, sender=self.sender, id=id, now=clock.now()))


def post_of(settings: Settings) -> Post:
    """By a mail server if one is configured, else into the folder if there is one, else onto the screen."""
    return Post(settings.mail_from, _transport_of(settings))


async def send_due(db: Database, *, post: Post, letters: Mapping[str, Letter]) -> int:
    """What is due of the topics of `letters` is on its way; how many mails. Raises `Unavailable`."""
    sent = 0
    while events := await outbox.claim_due(db, topics=list(letters)):
        sent += sum(await asyncio.gather(*(_deliver(db, event, post, letters[event.topic]) for event in events)))
    return sent


async def send_test(post: Post, *, to: str, public_url: str) -> None:
    """A mail that says that mails arrive. Raises `MailDelayed`, `MailRefused`."""
    text = f"This is a test: mails arrive.\n\nLinks in them begin with {public_url}/\n"
    await post.send(Mail(to=to, subject="Test of outgoing mail", text=text), id=str(uuid7()))


async def _deliver(db: Database, event: DueEvent, post: Post, letter: Letter) -> bool:
    """Whether a mail left. Whatever happens to it is no other mail's business."""
    which = {"event_id": str(event.id), "attempts": event.attempts}
    try:
        mail = await letter(db, event)
        if mail is not None:
            mail = await _send(post, mail, which)
        await outbox.publish(db, event)
    except MailDelayed as delayed:
        _log.warning("mail delayed", **which, reason=delayed.reason, smtp_code=delayed.smtp_code)
    except Unavailable:
        _log.warning("mail delayed", **which, reason="Unavailable", smtp_code=None)
    except Exception:  # noqa: BLE001 - a door of its own: a bug in one letter must not stop the others
        _log.exception("mail failed", **which)
    else:
        return mail is not None
    return False


async def _send(post: Post, mail: Mail, which: Mapping[str, object]) -> Mail | None:
    """The mail, or `None` if it will never leave. Raises `MailDelayed`."""
    try:
        await post.send(mail, id=str(which["event_id"]))
    except MailRefused as refused:
        _log.warning("mail refused", **which, reason=refused.reason, smtp_code=refused.smtp_code)
        return None
    return mail


def _transport_of(settings: Settings) -> Transport:
    if settings.smtp_url is not None:
        return MailServer(settings.smtp_url)
    folder = settings.mail_folder_used
    return Screen() if folder is None else Folder(folder)
