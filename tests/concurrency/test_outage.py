"""The database away, or stuck: `make proof ARGS="outage lock"` runs them at full size."""

from tests.proof.figures import missed
from tests.proof.outage import LOCK, OUTAGE


def test_database_gone_is_503_and_needs_no_restart() -> None:
    assert not missed(OUTAGE.figures(is_short=True))


def test_connections_behind_a_lock_are_503_and_heal() -> None:
    assert not missed(LOCK.figures(is_short=True))
