"""Why a slot could not be booked. Each of these sticks to the key it was told under."""

from app.kit.errors import DomainError, Kind


class SlotNotFound(DomainError):
    """No such slot in this clinic, or its doctor has withdrawn it."""

    code = "slot_not_found"
    kind = Kind.NOT_FOUND
    sentence = "There is no such slot. Search for open slots again."


class SlotAlreadyYours(DomainError):
    """This patient has this slot already, booked under another key."""

    code = "slot_already_yours"
    kind = Kind.CONFLICT
    sentence = "You have booked this slot already; the consultation is at `Location`."


class SlotUnavailable(DomainError):
    """Booked by someone else, begun, or its doctor does not work at present."""

    code = "slot_unavailable"
    kind = Kind.CONFLICT
    sentence = "This slot can no longer be booked. Choose another one."


class BookingLimitReached(DomainError):
    """The patient has as many consultations ahead, or has booked as often within a day, as the clinic allows."""

    code = "booking_limit_reached"
    kind = Kind.CONFLICT
    sentence = (
        "You have as many consultations ahead as one patient may have, or have booked too often within a day. "
        "Cancel one that you do not need, or try again tomorrow."
    )


class PatientOverlap(DomainError):
    """The patient has another consultation at that time."""

    code = "patient_overlap"
    kind = Kind.CONFLICT
    sentence = "You have another consultation at that time. Cancel it first, or choose another slot."
