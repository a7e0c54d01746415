"""Why a booking is refused: the first reason of the contract that applies."""

import itertools
from uuid import UUID

import pytest

from app.booking.rules import location, reason

OF_KEY, OWN = UUID(int=1), UUID(int=2)
# In the contract's order: what must be so for it, and the address that is told with it.
REASONS = [
    ("idempotency_key_expired", {"consultation_under_key": OF_KEY}, f"/consultations/{OF_KEY}"),
    ("slot_not_found", {"slot_exists": False}, None),
    ("slot_already_yours", {"consultation_of_patient": OWN}, f"/consultations/{OWN}"),
    ("patient_overlap", {"patient_is_busy": True}, None),
    ("booking_limit_reached", {"patient_hoards": True}, None),
]
NOTHING = {
    "slot_exists": True,
    "consultation_under_key": None,
    "consultation_of_patient": None,
    "patient_is_busy": False,
    "patient_hoards": False,
}


@pytest.mark.parametrize("which", list(itertools.product((False, True), repeat=len(REASONS))))
def test_first_reason_that_applies_is_told(which: tuple[bool, ...]) -> None:
    applying = [reason_ for reason_, applies in zip(REASONS, which, strict=True) if applies]
    circumstances = {name: value for _, changes, _ in applying for name, value in changes.items()}
    code, _, address = applying[0] if applying else ("slot_unavailable", {}, None)
    refusal = reason(**{**NOTHING, **circumstances})  # type: ignore[arg-type]
    assert (refusal.code, refusal.location) == (code, address)


def test_consultation_has_an_address() -> None:
    assert location(OWN) == "/consultations/00000000-0000-0000-0000-000000000002"
