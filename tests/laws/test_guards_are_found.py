"""What `python -m tests.proof authz` takes out in turn is all there is, found by rule; what may stay has a reason."""

from collections import Counter

from tests.authz.equivalents import BEHIND_NO_GUARD, EQUIVALENTS
from tests.authz.mutants import mutants
from tests.authz.needs import GUARDED

FOUND = mutants()


def test_every_guarded_route_has_its_guard_taken_out() -> None:
    assert Counter(mutant.how for mutant in FOUND)["no guard"] == len(GUARDED)


def test_every_room_with_somebodys_rows_has_predicates() -> None:
    rooms = {mutant.path.rsplit("/", 1)[0] for mutant in FOUND if mutant.how == "no predicate"}
    assert {
        "app/availability",
        "app/booking",
        "app/breakglass",
        "app/consultation",
        "app/identity/mfa",
        "app/identity/passkeys",
        "app/identity/sessions",
        "app/identity/users",
        "app/oversight",
        "app/prescription",
    } <= rooms


def test_reasons_are_of_predicates_that_there_are() -> None:
    assert EQUIVALENTS.keys() <= {mutant.key for mutant in FOUND}
    assert BEHIND_NO_GUARD.keys() <= {f"{mutant.path}:{mutant.place}" for mutant in FOUND}
