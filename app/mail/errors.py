"""Why a mail did not leave."""


class MailDelayed(Exception):
    """It may leave later; `reason` is a word for the log, and `detail` for who asks at a command line.

    `detail` may hold addresses, and never goes into a log.
    """

    def __init__(self, reason: str, detail: str, *, smtp_code: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail
        self.smtp_code = smtp_code


class MailRefused(MailDelayed):
    """It will never leave: the server wants no such mail for this mailbox (RFC 5321, section 4.2.1: 5yz)."""
