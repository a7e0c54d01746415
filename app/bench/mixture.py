"""A clinic's ordinary day: what people ask for, in which proportion, and when."""

import random
from bisect import bisect
from collections.abc import Callable
from itertools import accumulate

from app.bench import town as towns
from app.bench.requests import Request, Schedule
from app.bench.traffic import READERS, Traffic

# The loaded consultations that somebody looks at: a part of all, so that few tokens are needed.
LOOKED_AT = 5_000
SEARCHED_NAMES = ("Anna", "Berg", "Cost", "Fisch", "Haddad", "Kaya", "Meyer", "Novak", "Rossi", "Yusuf")
READS, WRITES = 90.0, 10.0


def reading(traffic: Traffic) -> Request:
    """One of the reads."""
    return _chosen(_READS, traffic)


def anything(traffic: Traffic) -> Request:
    """90 % search and reads, 8 % bookings, 2 % cancellations, completions and logins."""
    return _chosen(_EVERYTHING, traffic)


def elsewhere(traffic: Traffic) -> Request:
    """Nine reads to a booking: what goes on beside a crowd."""
    return _chosen(_ELSEWHERE, traffic)


def arrivals(make: Callable[[Traffic], Request], traffic: Traffic, *, per_second: float, seconds: float) -> Schedule:
    """Requests at random moments (Poisson), so many a second on the whole."""
    due = traffic.rng.expovariate(per_second)
    while due < seconds:
        yield due, make(traffic)
        due += traffic.rng.expovariate(per_second)


def _search(traffic: Traffic) -> Request:
    return traffic.search(traffic.town.doctor_by_popularity(traffic.rng.random()))


def _search_clinic(traffic: Traffic) -> Request:
    return traffic.get("search the clinic", "/availability/?limit=50")


def _find_doctors(traffic: Traffic) -> Request:
    return traffic.get("doctors by name", f"/doctors/?q={traffic.rng.choice(SEARCHED_NAMES)}&limit=20")


def _find_specialists(traffic: Traffic) -> Request:
    specialty = traffic.rng.choice(towns.SPECIALTIES).replace(" ", "%20")
    return traffic.get("doctors by specialty", f"/doctors/?specialty={specialty}&limit=20")


def _own_consultations(traffic: Traffic) -> Request:
    return traffic.get("own consultations", "/consultations/my?limit=20")


def _one_consultation(traffic: Traffic) -> Request:
    held = traffic.town.held(traffic.rng.randrange(min(LOOKED_AT, traffic.town.past)))
    path = f"/consultations/{towns.consultation_id(held.number)}"
    return traffic.get("one consultation", path, patient=held.patient)


def _prescriptions(traffic: Traffic) -> Request:
    return traffic.get("own prescriptions", "/prescriptions/my?limit=20")


def _account(traffic: Traffic) -> Request:
    return traffic.get("own account", "/users/me")


def _book(traffic: Traffic) -> Request:
    return next(traffic.bookings(1))


def _cancel(traffic: Traffic) -> Request:
    return traffic.cancellation()


def _complete(traffic: Traffic) -> Request:
    return traffic.completion()


def _log_in(traffic: Traffic) -> Request:
    return traffic.login(traffic.rng.randrange(min(READERS, traffic.town.patients)))


class _Choice:
    def __init__(self, *weighted: tuple[float, Callable[[Traffic], Request]]) -> None:
        self._ends = list(accumulate(weight for weight, _ in weighted))
        self._makers = [maker for _, maker in weighted]

    def pick(self, rng: random.Random) -> Callable[[Traffic], Request]:
        return self._makers[bisect(self._ends, rng.random() * self._ends[-1])]


def _chosen(choice: _Choice, traffic: Traffic) -> Request:
    return choice.pick(traffic.rng)(traffic)


_READS = _Choice(
    (40, _search),
    (10, _search_clinic),
    (8, _find_doctors),
    (7, _find_specialists),
    (10, _own_consultations),
    (5, _one_consultation),
    (5, _prescriptions),
    (5, _account),
)
_EVERYTHING = _Choice((READS, reading), (8, _book), (0.9, _cancel), (0.9, _complete), (0.2, _log_in))
_ELSEWHERE = _Choice((READS, reading), (WRITES, _book))
WRITING_KINDS = frozenset({"booking", "cancel", "complete", "login"})
