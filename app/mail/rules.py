"""What a mail is made of."""

from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, parseaddr

from email_validator import EmailNotValidError, validate_email

# RFC 5322, section 2.1.1. A shorter line is no duty, and would break addresses in two.
LINE_LENGTH_MAX = 998


@dataclass(frozen=True, slots=True)
class Mail:
    """A plain text for one person."""

    to: str
    subject: str
    text: str


def message(mail: Mail, *, sender: str, id: str, now: datetime) -> EmailMessage:
    """The mail as it travels. The same `id` makes the same `Message-ID`: a second copy can be known as one."""
    to = wire_address(mail.to)
    policy = (SMTP if to.isascii() else SMTPUTF8).clone(max_line_length=LINE_LENGTH_MAX)
    name, address = parseaddr(sender)
    made = EmailMessage(policy)
    made["From"] = _address(address, name)
    made["To"] = _address(to)
    made["Subject"] = mail.subject
    made["Date"] = format_datetime(now)
    made["Message-ID"] = f"<{id}@{address.rpartition('@')[2]}>"
    # So that nobody's "I am on holiday" comes back (RFC 3834).
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(mail.text)
    return made


def wire_address(email: str) -> str:
    """The address as servers take it: a domain such as `münchen.example` in ASCII."""
    try:
        checked = validate_email(email, check_deliverability=False, globally_deliverable=False, test_environment=True)
    except EmailNotValidError:
        return email
    return checked.ascii_email or f"{checked.local_part}@{checked.ascii_domain}"


def _address(email: str, name: str = "") -> Address:
    # Its `addr_spec` would refuse a mailbox in another script than ASCII.
    mailbox, _, domain = email.rpartition("@")
    return Address(name, mailbox, domain)
