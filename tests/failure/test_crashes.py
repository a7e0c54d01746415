"""The API dies at any point: `make proof ARGS="crashes faults"` runs every use case, and 100,000 writes."""

from tests.proof.crashes import CRASHES
from tests.proof.faults import FAULTS
from tests.proof.figures import missed


def test_api_that_dies_at_any_point_of_a_request_has_done_it_once_or_not_at_all(database_url: str) -> None:
    assert not missed(CRASHES.figures(is_short=True, url=database_url))


def test_everything_breaking_at_once_loses_and_doubles_nothing() -> None:
    assert not missed(FAULTS.figures(is_short=True))
