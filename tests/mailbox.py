"""What people find in their mail: a folder, or a list, in the place of a mail server."""

import email
import re
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from app.mail.service import Post
from app.mail.transports import Folder, Transport
from app.settings import Settings
from app.worker import postman
from tests.cast import Clinic

SECRET_KEY = "only-for-tests-0123456789-abcdefghijklmnopqrstuvwxyz"
SENDER = "Clinic <no-reply@clinic.test>"
PUBLIC_URL = "https://clinic.test/care"


class MemoryMail:
    """A way out that keeps what it was given, after doing what the test wants."""

    def __init__(self) -> None:
        self.sent: list[EmailMessage] = []
        self.errors: dict[str, Exception] = {}

    async def send(self, message: EmailMessage) -> None:
        if error := self.errors.get(message["To"]):
            raise error
        self.sent.append(message)

    @property
    def place(self) -> str:
        return "memory"


class Mailbox:
    """The mails of one clinic's people, oldest first; nothing arrives by itself."""

    def __init__(self, clinic: Clinic, folder: Path) -> None:
        self.clinic = clinic
        self.folder = folder

    def fills(self, transport: Transport | None = None, **settings: object) -> None:
        """One round of the postman, who takes what is due, in whatever clinic."""
        app: Any = self.clinic.client.app
        values = {"secret_key": SECRET_KEY, "public_url": PUBLIC_URL, **settings}
        given = Settings(_env_file=None, **values)
        assert self.clinic.client.portal is not None
        post = Post(SENDER, transport or Folder(self.folder))
        self.clinic.client.portal.call(postman(app.state.db, given, post).run_round)

    def mails(self) -> list[EmailMessage]:
        """All that came. The names of the files, as ids, are sorted by time."""
        found = [
            email.message_from_bytes(path.read_bytes(), policy=default) for path in sorted(self.folder.glob("*.eml"))
        ]
        return [mail for mail in found if f'"{self.clinic.slug}"' in mail.get_content()]

    def token(self) -> str:
        """The token of the newest mail, after the postman has come."""
        self.fills()
        return token_in(self.mails()[-1])


def token_in(mail: EmailMessage) -> str:
    """The token of a mail, which stands in it twice."""
    [in_link, alone] = re.findall(r"(?<![\w-])[\w-]{48}(?![\w-])", mail.get_content())
    assert in_link == alone
    return str(alone)
