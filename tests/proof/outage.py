"""The database goes and comes back under a running API, which must say so, keep nobody waiting, and need no restart."""

import asyncio
import contextlib
import os
import signal
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from app.db import embedded, migrate
from tests.proof import checker
from tests.proof.crowds import kind
from tests.proof.figures import Figure, Scenario, at_least, at_most, exactly, none, told
from tests.proof.served import Served
from tests.proof.town import Town
from tests.proof.wire import Ask, Dropped, Line, booking

OWNER = "telemed_owner"
# "Within about 2 s": waits inside are of 2 s, and the machine is shared.
ANSWER_S_MAX = 3.0
# A frozen server is not known to be gone: a statement that was sent gets its 8 s first, and a read a second try.
ANSWER_S_MAX_FROZEN = 10.0
RECOVERY_S_MAX = 3.0
# An operator's forgotten lock: each wait for it is 2 s, and a queue for connections at most 10 s.
ANSWER_S_MAX_LOCKED = 12.5
PROBE_PAUSE_S = 0.05
CLIENTS_OF_EACH_KIND = 3


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer to one probe."""

    what: str
    started: float
    ended: float
    said: str
    retry_after: str | None


@dataclass(frozen=True, slots=True)
class Span:
    """When it went, when it began to come back, and when it was back."""

    down_at: float
    back_from: float
    up_at: float


@dataclass
class Probes:
    """Clients of every kind, who note what they see."""

    served: Served
    town: Town
    seen: list[Seen] = field(default_factory=list)
    booked: list[dict[str, object]] = field(default_factory=list)
    is_over: bool = False

    def __post_init__(self) -> None:
        self.patients = self.town.people("patient", CLIENTS_OF_EACH_KIND)
        self.slots = iter(self.town.slots(self.town.people("doctor", 1)[0], 20_000, minutes=10))

    def kinds(self, number: int) -> dict[str, Callable[[], Ask]]:
        token = self.patients[number].token
        login = {"email": "nobody@town.test", "password": "plum-tractor-candle"}
        return {
            "book": lambda: booking(token, next(self.slots), f"key-{uuid.uuid4()}"),
            "read": lambda: Ask("GET", "/consultations/my", token),
            "search": lambda: Ask("GET", "/availability/", token),
            "login": lambda: Ask("POST", "/auth/login", body=login),
            "live": lambda: Ask("GET", "/health/live"),
            "ready": lambda: Ask("GET", "/health/ready"),
        }

    def start(self) -> list["asyncio.Task[None]"]:
        return [
            asyncio.create_task(self._probe(what, make))
            for number in range(CLIENTS_OF_EACH_KIND)
            for what, make in self.kinds(number).items()
        ]

    async def _probe(self, what: str, make: Callable[[], Ask]) -> None:
        line = Line(self.served.port)
        while not self.is_over:
            started = time.monotonic()
            try:
                answer = await line.ask(make())
            except Dropped:
                self.seen.append(Seen(what, started, time.monotonic(), "none", None))
                continue
            retry_after = answer.headers.get("retry-after")
            self.seen.append(Seen(what, started, time.monotonic(), kind(answer), retry_after))
            if what == "book" and answer.status == 201:
                self.booked.append(answer.json())
            await asyncio.sleep(PROBE_PAUSE_S)
        line.close()

    async def until_all_are_well(self) -> None:
        """Until each kind of client has been served since now."""
        now = time.monotonic()
        missing = set(self.kinds(0))
        while missing:
            await asyncio.sleep(PROBE_PAUSE_S)
            missing -= {seen.what for seen in self.seen if seen.started > now and is_well(seen)}


def is_well(seen: Seen) -> bool:
    return seen.said == ("401 invalid_credentials" if seen.what == "login" else "201" if seen.what == "book" else "200")


@contextlib.contextmanager
def running() -> Iterator[tuple[embedded.Attachment, Served]]:
    """A PostgreSQL of our own, and the API on it by DATABASE_URL."""
    with tempfile.TemporaryDirectory() as home, embedded.attach(Path(home, "postgres")) as database:
        migrate.upgrade(database.url(OWNER), app_role="telemed_app")
        api_home = Path(home, "api")
        api_home.mkdir()
        with Served(api_home, database_url=database.url(OWNER)) as served:
            yield database, served


def outage(*, ways: tuple[str, ...], seconds: int) -> list[Figure]:
    """PostgreSQL stopped, killed or frozen for some seconds."""
    figures: list[Figure] = []
    with running() as (database, served):
        for how in ways:
            town = Town(database.url(OWNER))
            probes = Probes(served, town)
            span, pid = asyncio.run(_go_and_come_back(probes, database, how, seconds))
            limit_s = ANSWER_S_MAX_FROZEN if how == "frozen" else ANSWER_S_MAX
            figures += _figures(f"PostgreSQL {how}", probes, span, limit_s)
            figures += [
                exactly(f"PostgreSQL {how}: the API is the same process", served.pid, pid),
                none(f"PostgreSQL {how}: acknowledged bookings lost", checker.lost(town, probes.booked)),
                *(figure for figure in checker.violations(town) if not figure.is_met),
            ]
        figures.append(none("exceptions in the server's log", _exceptions(served)))
    return figures


def lock(*, clients: int) -> list[Figure]:
    """Somebody holds a slot; more clients wait for it than there are connections."""
    with running() as (database, served):
        figures = _locked(database, served, clients)
        return [*figures, none("exceptions in the server's log", _exceptions(served))]


def _exceptions(served: Served) -> int:
    """Errors but for the one line that says that the database is away."""
    return sum("database cannot be reached" not in line for line in served.errors_logged())


async def _go_and_come_back(probes: Probes, database: embedded.Attachment, how: str, seconds: int) -> tuple[Span, int]:
    pid = probes.served.pid
    tasks = probes.start()
    await probes.until_all_are_well()
    down_at = time.monotonic()
    bring_back = _take_down(database, how)
    await asyncio.sleep(seconds)
    back_from = time.monotonic()
    await asyncio.to_thread(bring_back)
    up_at = time.monotonic()
    await probes.until_all_are_well()
    # Whoever is refused after this long has found something that did not heal.
    await asyncio.sleep(max(0.0, up_at + RECOVERY_S_MAX + 1 - time.monotonic()))
    probes.is_over = True
    await asyncio.gather(*tasks)
    return Span(down_at, back_from, up_at), pid


def _take_down(database: embedded.Attachment, how: str) -> Callable[[], None]:
    """What brings it back."""
    if how == "frozen":
        postmaster = psutil.Process(database.pid)
        family = [postmaster, *postmaster.children(recursive=True)]
        for process in family:
            process.suspend()
        return lambda: [process.resume() for process in family if process.is_running()] and None
    keeper = int((database.data_dir / "keeper.lock").read_text())
    os.kill(keeper, signal.SIGTERM if how == "stopped" else signal.SIGKILL)
    return database.ensure


def _figures(name: str, probes: Probes, span: Span, limit_s: float) -> list[Figure]:
    ordinary = [seen for seen in probes.seen if seen.what != "live"]
    refused = [seen for seen in ordinary if not is_well(seen)]
    # Whoever asked after it had gone, and was answered before it was back.
    meanwhile = [seen for seen in ordinary if seen.started > span.down_at + 0.5 and seen.ended < span.back_from]
    odd = Counter(f"{seen.what} {seen.said}" for seen in refused if seen.said != "503 unavailable")
    waits = Counter(seen.what for seen in refused if seen.ended - seen.started > limit_s)
    return [
        at_least(f"{name}: refusals meanwhile", len([seen for seen in meanwhile if not is_well(seen)]), 1),
        none(f"{name}: good answers from nowhere", len([seen for seen in meanwhile if is_well(seen)])),
        none(f"{name}: refusals that are not 503 unavailable {dict(odd)}", odd.total()),
        none(f"{name}: refusals without Retry-After", sum(seen.retry_after is None for seen in refused)),
        at_most(
            f"{name}: longest wait for an answer {dict(waits)}",
            max(seen.ended - seen.started for seen in probes.seen),
            limit_s,
            "s",
        ),
        none(f"{name}: /health/live other than 200", sum(not is_well(s) for s in probes.seen if s.what == "live")),
        at_most(
            f"{name}: back to the last refusal", max(seen.ended for seen in refused) - span.up_at, RECOVERY_S_MAX, "s"
        ),
    ]


def _locked(database: embedded.Attachment, served: Served, clients: int) -> list[Figure]:
    town = Town(database.url(OWNER))
    probes = Probes(served, town)
    slot_id = next(probes.slots)
    patients = town.people("patient", clients)
    said: Counter[str] = Counter()
    waits: list[float] = []

    async def client(number: int) -> None:
        line, started = Line(served.port), time.monotonic()
        said[kind(await line.ask(booking(patients[number].token, slot_id, f"key-{uuid.uuid4()}")))] += 1
        waits.append(time.monotonic() - started)
        line.close()

    async def storm() -> float:
        tasks = probes.start()
        await probes.until_all_are_well()
        with town.tables() as tables:
            tables.execute("BEGIN")
            tables.execute("SELECT FROM availability_slots WHERE id = %s FOR UPDATE", [slot_id])
            await asyncio.gather(*(client(number) for number in range(clients)))
            tables.execute("ROLLBACK")
        free_at = time.monotonic()
        await probes.until_all_are_well()
        healed_s = time.monotonic() - free_at
        probes.is_over = True
        await asyncio.gather(*tasks)
        return healed_s

    healed_s = asyncio.run(storm())
    live = [seen for seen in probes.seen if seen.what == "live"]
    others = [seen for seen in probes.seen if seen.what != "live"]
    odd = Counter(f"{seen.what} {seen.said}" for seen in others if not is_well(seen) and seen.said != "503 unavailable")
    return [
        exactly(
            f"{clients} clients behind a lock: answers of 503 unavailable {dict(said)}",
            said["503 unavailable"],
            clients,
        ),
        at_most(f"{clients} clients behind a lock: longest wait", max(waits), ANSWER_S_MAX_LOCKED, "s"),
        none("behind a lock: /health/live other than 200", sum(not is_well(seen) for seen in live)),
        at_most("behind a lock: longest wait for /health/live", max(s.ended - s.started for s in live), 1.0, "s"),
        at_most(
            "behind a lock: longest wait of others", max(s.ended - s.started for s in others), ANSWER_S_MAX_LOCKED, "s"
        ),
        told("behind a lock: others refused", sum(not is_well(seen) for seen in others)),
        none(f"behind a lock: others refused otherwise than 503 {dict(odd)}", odd.total()),
        at_most("the lock released to all well", healed_s, 1.0, "s"),
    ]


OUTAGE = Scenario(
    "outage",
    outage,
    short={"ways": ("stopped",), "seconds": 3},
    full={"ways": ("stopped", "killed", "frozen"), "seconds": 15},
)
LOCK = Scenario("lock", lock, short={"clients": 20}, full={"clients": 60})
