"""What is sent and answered about links."""

from app.http.fields import Answer, Body
from app.identity.sessions.schemas import GivenEmail, GivenToken
from app.identity.users.rules import DEFAULT_CLINIC
from app.identity.users.schemas import Clinic, NewPassword


class ForgottenPassword(Body):
    """Whose password is forgotten."""

    email: GivenEmail
    clinic: Clinic = DEFAULT_CLINIC


class Asked(Answer):
    """Nothing: whether there is such an account is nobody's business."""


class PasswordReset(Body):
    """The token of the mail, and the next password."""

    token: GivenToken
    new_password: NewPassword


class Confirmation(Body):
    """The token of the mail."""

    token: GivenToken
