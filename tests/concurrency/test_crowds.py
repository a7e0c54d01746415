"""Many at the same moment: `make proof ARGS="one-slot one-key mixture"` runs them at full size."""

from tests.proof.crowds import ONE_KEY, ONE_SLOT
from tests.proof.figures import missed
from tests.proof.mixture import MIXTURE
from tests.proof.served import Served


def test_crowd_on_one_slot_has_one_winner(served: Served) -> None:
    assert not missed(ONE_SLOT.figures(is_short=True, served=served))


def test_crowd_under_one_key_gets_one_answer(served: Served) -> None:
    assert not missed(ONE_KEY.figures(is_short=True, served=served))


def test_mixture_of_everything_leaves_the_tables_consistent(served: Served) -> None:
    assert not missed(MIXTURE.figures(is_short=True, served=served))
