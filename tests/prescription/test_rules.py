"""Why a prescription is refused: the first reason of the contract that applies."""

import itertools
from uuid import UUID

import pytest

from app.prescription.rules import location, reason

ISSUED = UUID(int=7)


@pytest.mark.parametrize(
    ("status", "has_one", "under_key"),
    list(itertools.product((None, "scheduled", "completed", "cancelled"), (False, True), (None, ISSUED))),
)
def test_first_reason_that_applies_is_told(status: str | None, has_one: bool, under_key: UUID | None) -> None:
    refusal = reason(consultation_status=status, has_prescription=has_one, prescription_under_key=under_key)
    if under_key is not None:
        assert (refusal.code, refusal.location) == ("idempotency_key_expired", f"/prescriptions/{ISSUED}")
    elif status is None:
        assert refusal.code == "not_found"
    else:
        assert refusal.code == ("prescription_exists" if has_one else "consultation_not_completed")


def test_prescription_has_an_address() -> None:
    assert location(ISSUED) == "/prescriptions/00000000-0000-0000-0000-000000000007"
