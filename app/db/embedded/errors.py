"""The one error of this package."""


class EmbeddedServerError(Exception):
    """The embedded server can't be used. The message is one sentence that says what to do next."""
