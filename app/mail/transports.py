"""The ways on which a mail can leave: SMTP, a folder, a developer's screen."""

import asyncio
import os
import ssl
import sys
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import aiosmtplib

from app.mail.errors import MailDelayed, MailRefused

# Each step of the conversation, and all of it: shorter than the first pause of an event, after which others may try.
STEP_S_MAX, SEND_S_MAX = 15.0, 40.0
PERMANENT = 500
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Transport(Protocol):
    """Hands mails on."""

    async def send(self, message: EmailMessage) -> None:
        """The mail is on its way. Raises `MailDelayed`, `MailRefused`."""

    @property
    def place(self) -> str:
        """Where mails go, for a human."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """A mail server, over TLS whose certificate is verified.

    `smtps://` is TLS from the first byte (RFC 8314). On `smtp://` the conversation changes to TLS where the server
    offers it (STARTTLS), and must where a password would be said to another machine.
    """

    url: str = field(repr=False)
    # Made once: reading the machine's certificates takes a tenth of a second, in which nobody is served.
    _context: ssl.SSLContext = field(default_factory=ssl.create_default_context, repr=False, compare=False)

    async def send(self, message: EmailMessage) -> None:
        """Handed over to the server. Raises `MailDelayed`, `MailRefused`."""
        url = urlsplit(self.url)
        is_tls = url.scheme == "smtps"
        must_change = url.username is not None and url.hostname not in _LOOPBACK
        try:
            async with asyncio.timeout(SEND_S_MAX):
                await aiosmtplib.send(
                    message,
                    hostname=url.hostname,
                    port=url.port or (465 if is_tls else 587),
                    username=unquote(url.username) if url.username else None,
                    password=unquote(url.password or "") if url.username else None,
                    use_tls=is_tls,
                    start_tls=None if is_tls or not must_change else True,
                    tls_context=self._context,
                    timeout=STEP_S_MAX,
                )
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise _told(error, message) from error

    @property
    def place(self) -> str:
        """Host and port, without the password."""
        url = urlsplit(self.url)
        return f"{url.scheme}://{url.hostname}{f':{url.port}' if url.port else ''}"


@dataclass(frozen=True, slots=True)
class Folder:
    """One `.eml` for each mail, which only its owner can read."""

    path: Path

    async def send(self, message: EmailMessage) -> None:
        """Written whole or not at all; a mail that comes twice is one file. Raises `MailDelayed`."""
        try:
            await asyncio.to_thread(self._write, message)
        except OSError as error:
            raise MailDelayed(type(error).__name__, f"cannot write into {self.path}: {error.strerror}") from error

    @property
    def place(self) -> str:
        """The folder."""
        return str(self.path)

    def _write(self, message: EmailMessage) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = str(message["Message-ID"]).strip("<>").partition("@")[0]
        draft = self.path / f"{name}.{os.getpid()}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(message.as_bytes())
        draft.replace(self.path / f"{name}.eml")


@dataclass(frozen=True, slots=True)
class Screen:
    """A developer's terminal. Where standard error is anything else it may be kept, and a mail holds a token."""

    async def send(self, message: EmailMessage) -> None:
        """Printed. Raises `MailDelayed` where nobody sits in front of it."""
        if not sys.stderr.isatty():
            raise MailDelayed(
                "NoMailServer", "no mail server is configured: set SMTP_URL and MAIL_FROM, or MAIL_FOLDER"
            )
        sys.stderr.write(f"\n{message.as_string()}\n")
        sys.stderr.flush()

    @property
    def place(self) -> str:
        """Nowhere else."""
        return "this terminal"


def _told(error: Exception, message: EmailMessage) -> MailDelayed:
    """What the server meant. That it does not know us, or not our sender, can be set right; a mailbox cannot."""
    reason, code = type(error).__name__, getattr(error, "code", None)
    detail = str(getattr(error, "message", "") or error) or reason
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        [refusal] = error.recipients
        code, detail = refusal.code, refusal.message
    is_final = isinstance(error, (aiosmtplib.SMTPRecipientsRefused, aiosmtplib.SMTPDataError))
    if is_final and code is not None and code >= PERMANENT:
        return MailRefused(reason, detail, smtp_code=code)
    if isinstance(error, aiosmtplib.SMTPNotSupported) and not str(message["To"]).isascii():
        return MailRefused(reason, detail)
    return MailDelayed(reason, detail, smtp_code=code)
