"""Why a prescription was not issued. Each of these sticks to the key it was told under."""

from app.kit.errors import DomainError, Kind


class ConsultationNotCompleted(DomainError):
    """The consultation is not, or was never, completed."""

    code = "consultation_not_completed"
    kind = Kind.CONFLICT
    sentence = "You can prescribe once the consultation is completed."


class PrescriptionExists(DomainError):
    """The consultation has its prescription."""

    code = "prescription_exists"
    kind = Kind.CONFLICT
    sentence = "This consultation has a prescription already; it is never edited."
