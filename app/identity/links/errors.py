"""Why a link opens nothing."""

from app.identity.sessions.errors import InvalidToken


class LinkNotGood(InvalidToken):
    """A link that is unknown, used, expired, superseded, or of somebody who is not active: one answer."""

    sentence = "This link is no longer good. Ask for a new one."
