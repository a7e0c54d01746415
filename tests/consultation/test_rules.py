"""Who may bring a consultation from which state to which: the contract's table, once more."""

import itertools

import pytest

from app.consultation.rules import CANCELS_ONLY_BEFORE_START, STATUSES, TRANSITIONS, may_change

MAY = {
    ("scheduled", "completed"): {"doctor"},
    ("scheduled", "cancelled"): {"patient", "doctor", "admin"},
}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(STATUSES, STATUSES)))
@pytest.mark.parametrize("role", ["patient", "doctor", "admin", "", "root"])
def test_role_may_what_the_table_says_and_nothing_else(role: str, before: str, after: str) -> None:
    assert may_change(role, before=before, after=after) == (role in MAY.get((before, after), set()))


def test_table_has_no_other_state() -> None:
    assert STATUSES == ("scheduled", "completed", "cancelled")
    assert TRANSITIONS.keys() == MAY.keys()


def test_only_patients_cancel_before_the_start_alone() -> None:
    assert {"patient"} == CANCELS_ONLY_BEFORE_START
