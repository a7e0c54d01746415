"""A request that writes, the clinic in which it is sent, and what somebody heard who asked until it was answered."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.cast import PASSWORD
from tests.proof.crowds import kind
from tests.proof.town import Town, Townsman
from tests.proof.wire import Answer, Ask

AUDITED = """
    SELECT count(*) FROM audit_logs
    WHERE clinic_id = %(clinic)s AND action = %(action)s AND outcome = 'success' AND actor_id IN (
        SELECT id FROM users
        WHERE clinic_id = %(clinic)s AND (id::text = %(actor)s OR email_normalized = %(actor)s))
"""
PAUSE_S = 0.05
CALM_S_MAX = 20.0
Calm = Callable[[Ask], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Deed:
    """One request that writes, and how to know that it was done once.

    `done` are the definite answers to it. `done_before` are those to whoever asks again without a key, after it was
    done and nobody heard so. `audited` is the action whose audit row must be there. `same` is what must be equal
    in all definite answers; of a keyed one all bytes.
    """

    ask: Ask
    actor: str
    audited: str
    done: frozenset[int]
    done_before: frozenset[int] = frozenset()
    # How many audit rows there may be. Whoever logs in again without having heard gets a second session.
    times: tuple[int, int] = (1, 1)
    same: Callable[[Answer], object] = field(default=lambda answer: answer.told)
    is_repeatable: bool = False
    # A definite answer that was given already.
    told: Answer | None = None


@dataclass
class World:
    """A clinic whose calm side prepares what its broken side is asked for."""

    town: Town
    calm: Calm

    def __post_init__(self) -> None:
        [self.admin] = self.town.people("admin", 1)
        with self.town.tables() as tables:
            row = tables.execute("SELECT slug FROM clinics WHERE clinic_id = %s", [self.town.clinic_id]).fetchone()
        assert row is not None
        self.slug = str(row[0])

    def person(self, role: str) -> Townsman:
        return self.town.people(role, 1)[0]

    def slot(self, doctor: Townsman) -> int:
        return self.town.slots(doctor, 1)[0]

    async def asks(self, ask: Ask, status: int) -> Any:
        answer = await self.answer(ask, status)
        return answer.json() if answer.content else None

    async def answer(self, ask: Ask, status: int) -> Answer:
        """What is answered, once it is no 503: on a busy machine the calm side is out of breath as well."""
        give_up_at = time.monotonic() + CALM_S_MAX
        while (answer := await self.calm(ask)).status == 503 and time.monotonic() < give_up_at:
            await asyncio.sleep(PAUSE_S)
        assert answer.status == status, (ask.method, ask.path, answer)
        return answer

    async def account(self) -> tuple[str, Townsman]:
        """Somebody with a password, logged in nowhere."""
        email = f"{uuid.uuid4().hex}@clinic.test"
        body = {"email": email, "password": PASSWORD, "full_name": "Pia Patient", "role": "patient"}
        user = await self.asks(Ask("POST", "/users/", self.admin.token, body), 201)
        return email, Townsman(self.town.clinic_id, uuid.UUID(user["id"]), "patient")

    async def session(self) -> tuple[Townsman, str]:
        """Somebody and the refresh token of their session."""
        email, person = await self.account()
        tokens = await self.asks(self.login(email), 200)
        return person, tokens["refresh_token"]

    def login(self, email: str, password: str = PASSWORD, **more: str) -> Ask:
        return Ask("POST", "/auth/login", body={"email": email, "password": password, "clinic": self.slug, **more})

    def count(self, deed: Deed) -> int:
        """How often it was done, by the audit log."""
        values = {"clinic": self.town.clinic_id, "actor": deed.actor, "action": deed.audited}
        with self.town.tables() as tables:
            row = tables.execute(AUDITED, values).fetchone()
        assert row is not None
        return int(str(row[0]))


Make = Callable[[World], Awaitable[Deed]]
Try = Callable[[Ask], Awaitable[Answer | None]]
# What a caller may hear besides the answer: repeat, with the same key.
_REPEAT = frozenset({"unavailable", "idempotency_in_flight"})


@dataclass
class Story:
    """What somebody heard who asked until there was an answer; `None`: the connection broke."""

    deed: Deed
    heard: list[Answer | None] = field(default_factory=list)
    waits_s: list[float] = field(default_factory=list)

    async def ask(self, way: Try) -> Answer | None:
        """Once more. Whether it was definite, the answer tells."""
        started = time.monotonic()
        answer = await way(self.deed.ask)
        self.waits_s.append(time.monotonic() - started)
        self.heard.append(answer)
        return answer

    async def ask_until_definite(self, way: Try, *, within_s: float) -> None:
        """Ask again and again; and once more for the same, where asking is harmless."""
        give_up_at = time.monotonic() + within_s
        while not self.definite and time.monotonic() < give_up_at:
            if self.heard:
                await asyncio.sleep(PAUSE_S)
            await self.ask(way)
        if self.deed.is_repeatable:
            await self.ask(way)

    @property
    def definite(self) -> list[Answer]:
        """The answers that are no call to repeat."""
        return [answer for answer in self.heard if answer is not None and not _is_repeat(answer)]

    def broken(self, world: World) -> list[str]:
        """What must not be."""
        deed, definite = self.deed, self.definite
        if not definite:
            return ["no definite answer"]
        was_unsure = self.heard[0] is not definite[0]
        right = deed.done | (deed.done_before if was_unsure else frozenset())
        found = [f"answered {kind(answer)}" for answer in definite if answer.status not in right]
        told = [*([deed.told] if deed.told else []), *definite]
        if deed.is_repeatable and not found and len({deed.same(answer) for answer in told}) > 1:
            found.append("two different answers")
        if not deed.times[0] <= (count := world.count(deed)) <= deed.times[1]:
            found.append(f"done {count} times")
        return found


def _is_repeat(answer: Answer) -> bool:
    return answer.code in _REPEAT and answer.status in (409, 503)
