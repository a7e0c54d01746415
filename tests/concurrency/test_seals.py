"""Seals of the audit log: `make proof ARGS="edits inserts"` edits a thousand times, and inserts a hundred thousand."""

from tests.proof.figures import missed
from tests.proof.seals import EDITS, INSERTS


def test_every_edit_of_a_sealed_log_is_found() -> None:
    assert not missed(EDITS.figures(is_short=True))


def test_rows_that_commit_in_any_order_raise_no_alarm() -> None:
    assert not missed(INSERTS.figures(is_short=True))
