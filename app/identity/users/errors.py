"""What an account can be refused for."""

from app.kit.errors import DomainError, Kind


class EmailTaken(DomainError):
    """Another user of this clinic has this e-mail."""

    code = "email_taken"
    kind = Kind.CONFLICT
    sentence = "There is an account with this e-mail already. Log in, or use another e-mail."


class UserHasHistory(DomainError):
    """Consultations refer to this user in the present role."""

    code = "user_has_history"
    kind = Kind.CONFLICT
    sentence = "This user has consultations, so the role must stay. Create a second account for the new role."
