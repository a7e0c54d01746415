"""What `kill -9` and the end of the process may do: `make proof ARGS="kills drain ends"` runs them at full size."""

from tests.proof.drain import DRAIN, ENDS
from tests.proof.figures import missed
from tests.proof.kills import KILLS


def test_kill_in_a_storm_loses_and_doubles_nothing() -> None:
    assert not missed(KILLS.figures(is_short=True))


def test_sigterm_answers_every_accepted_request() -> None:
    assert not missed(DRAIN.figures(is_short=True))


def test_ctrl_c_and_kill_leave_nothing_behind() -> None:
    assert not missed(ENDS.figures(is_short=True))
