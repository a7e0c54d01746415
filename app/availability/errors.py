"""Why a slot could not be offered or withdrawn."""

from app.kit.errors import DomainError, Kind


class SlotOverlap(DomainError):
    """The doctor has another slot at that time."""

    code = "slot_overlap"
    kind = Kind.CONFLICT
    sentence = "You have another slot at that time. Withdraw it first, or choose another time."


class SlotBooked(DomainError):
    """A patient has booked it."""

    code = "slot_booked"
    kind = Kind.CONFLICT
    sentence = "This slot is booked. Cancel the consultation instead."
