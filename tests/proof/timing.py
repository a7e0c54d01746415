"""What the time of an answer tells, and what a hundred who refresh at once get.

Alone: `python -m tests.proof timing [--short]`.
"""

import concurrent.futures
import tempfile
import threading
import time
from pathlib import Path

from starlette.testclient import TestClient

from app.db import embedded, migrate
from app.main import create_app
from tests.cast import Clinic, found_clinic
from tests.conftest import FAST_AND_LOOSE, settings_for
from tests.proof.figures import Figure, Scenario, at_most, exactly, told

# A half is a coin's: the time of an answer tells nothing about the account.
COIN, AUC_OFF_MAX = 0.5, 0.03
# Of fewer tries chance alone makes as much: the standard error is the root of 1 / 6n.
TRIES_MIN = 2_000


def run(*, tries: int, at_once: int) -> list[Figure]:
    """Logins with a wrong password, known and unknown e-mails by turns; and one refresh token, many times at once."""
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded.attach(Path(folder) / "postgres", parameters=FAST_AND_LOOSE) as postgres,
    ):
        migrate.upgrade(postgres.url("telemed_owner"), app_role="telemed_app")
        # At a tenth of the usual cost: the hash hides less of the rest.
        app = create_app(settings_for(postgres.url("telemed_owner"), bcrypt_cost=6))
        with TestClient(app) as client:
            clinic = found_clinic(client)
            return [*_logins(clinic, tries=tries), *_refreshes(clinic, at_once=at_once)]


def _logins(clinic: Clinic, *, tries: int) -> list[Figure]:
    known, unknown = list[float](), list[float]()
    assert clinic.paul.id
    _wrong_password(clinic, clinic.paul.email)
    for number in range(tries):
        # Now one first and now the other: what warms up or slows down does so for both.
        pair = [(known, clinic.paul.email), (unknown, f"nobody-{number:06}@clinic.test")]
        for times, email in pair if number % 2 else reversed(pair):
            times.append(_wrong_password(clinic, email))
    auc = area_under_curve(known, unknown)
    name = f"login, known against unknown e-mail, 2 × {tries:,}: AUC off 0.5"
    if tries < TRIES_MIN:
        return [told(name, abs(auc - COIN))]
    return [at_most(name, abs(auc - COIN), AUC_OFF_MAX), told("  AUC", auc)]


def _wrong_password(clinic: Clinic, email: str) -> float:
    body = {"email": email, "password": "wrong-plum-tractor", "clinic": clinic.slug}
    started = time.perf_counter()
    answer = clinic.client.post("/auth/login", json=body)
    seconds = time.perf_counter() - started
    assert answer.status_code == 401, answer.text
    return seconds


def area_under_curve(some: list[float], others: list[float]) -> float:
    """How often one of `some` is larger than one of `others`: by ranks (Mann and Whitney)."""
    ranked = sorted([(value, 1) for value in some] + [(value, 0) for value in others])
    ranks = sum(rank for rank, (_, is_some) in enumerate(ranked, start=1) if is_some)
    return (ranks - len(some) * (len(some) + 1) / 2) / (len(some) * len(others))


def _refreshes(clinic: Clinic, *, at_once: int) -> list[Figure]:
    token = clinic.petra.refresh_token
    barrier = threading.Barrier(at_once)

    def refresh(_: int) -> str:
        barrier.wait()
        return str(clinic.nobody.posts("/auth/refresh", {"refresh_token": token}, expect=200).json()["refresh_token"])

    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        successors = set(pool.map(refresh, range(at_once)))
    return [exactly(f"{at_once} refreshes of one token at once: successors", len(successors), 1)]


TIMING = Scenario("timing", run, short={"tries": 300, "at_once": 30}, full={"tries": 2_000, "at_once": 100})
