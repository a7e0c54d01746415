"""Every writing use case, as something that can be broken off at any point and asked for again."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyotp

from app.identity.mfa.rules import STEP_S
from tests.cast import PASSWORD, iso, prescription_for, tomorrow
from tests.proof.crowds import kind
from tests.proof.town import Town, Townsman
from tests.proof.wire import Answer, Ask, booking, status_change

NEW_PASSWORD = "walnut-harbour-drum"
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


def _key() -> str:
    return f"key-{uuid.uuid4()}"


def _deed(ask: Ask, actor: object, audited: str, *done: int, **more: Any) -> Deed:
    return Deed(ask, str(actor), audited, frozenset(done), **more)


def _keyed(ask: Ask, actor: object, audited: str, *done: int, **more: Any) -> Deed:
    return _deed(ask, actor, audited, *done, is_repeatable=True, **more)


async def book(world: World) -> Deed:
    patient, slot = world.person("patient"), world.slot(world.person("doctor"))
    return _keyed(booking(patient.token, slot, _key()), patient.id, "consultation.booked", 201)


async def book_again(world: World) -> Deed:
    """The answer is there, and is asked for again."""
    deed = await book(world)
    return replace(deed, told=await world.answer(deed.ask, 201))


async def book_taken(world: World) -> Deed:
    """Refused: somebody else has the slot."""
    slot = world.slot(world.person("doctor"))
    await world.asks(booking(world.person("patient").token, slot, _key()), 201)
    patient = world.person("patient")
    return _keyed(booking(patient.token, slot, _key()), patient.id, "consultation.booked", 409, times=(0, 0))


async def book_overlapping(world: World) -> Deed:
    """Refused by a constraint: the patient is elsewhere at that time."""
    patient = world.person("patient")
    slots = [world.slot(world.person("doctor")) for _ in range(2)]
    await world.asks(booking(patient.token, slots[0], _key()), 201)
    return _keyed(booking(patient.token, slots[1], _key()), patient.id, "consultation.booked", 409)


async def _consultation(world: World, *, status: str | None = None) -> tuple[Townsman, Townsman, str]:
    patient, doctor = world.person("patient"), world.person("doctor")
    booked = await world.asks(booking(patient.token, world.slot(doctor), _key()), 201)
    if status is not None:
        await world.asks(status_change(doctor.token, booked["id"], status), 200)
    return patient, doctor, booked["id"]


async def cancel(world: World) -> Deed:
    patient, _, id = await _consultation(world)
    ask = status_change(patient.token, id, "cancelled")
    return _deed(ask, patient.id, "consultation.cancelled", 200, is_repeatable=True)


async def complete(world: World) -> Deed:
    _, doctor, id = await _consultation(world)
    ask = status_change(doctor.token, id, "completed")
    return _deed(ask, doctor.id, "consultation.completed", 200, is_repeatable=True)


async def prescribe(world: World) -> Deed:
    _, doctor, id = await _consultation(world, status="completed")
    ask = Ask("POST", "/prescriptions/", doctor.token, prescription_for(id), _key())
    return _keyed(ask, doctor.id, "prescription.created", 201)


def _times(number: int) -> dict[str, str]:
    starts_at = tomorrow() + timedelta(hours=number)
    return {"starts_at": iso(starts_at), "ends_at": iso(starts_at + timedelta(minutes=30))}


async def offer(world: World) -> Deed:
    doctor = world.person("doctor")
    return _keyed(Ask("POST", "/availability/", doctor.token, _times(0), _key()), doctor.id, "slot.created", 201)


async def offer_without_key(world: World) -> Deed:
    """A slot is its own key: the second is refused because it overlaps the first."""
    doctor = world.person("doctor")
    ask = Ask("POST", "/availability/", doctor.token, _times(0))
    return _deed(ask, doctor.id, "slot.created", 201, done_before=frozenset({409}))


async def offer_many(world: World) -> Deed:
    doctor = world.person("doctor")
    body = {"slots": [_times(number) for number in range(3)]}
    ask = Ask("POST", "/availability/bulk", doctor.token, body, _key())
    return _keyed(ask, doctor.id, "slot.created", 201, times=(3, 3))


async def withdraw(world: World) -> Deed:
    doctor = world.person("doctor")
    ask = Ask("DELETE", f"/availability/{world.slot(doctor)}", doctor.token)
    return _deed(ask, doctor.id, "slot.withdrawn", 204, done_before=frozenset({404}))


async def register(world: World) -> Deed:
    """Whose e-mail is taken after an answer that was lost logs in: the account is theirs."""
    email = f"{uuid.uuid4().hex}@clinic.test"
    body = {"email": email, "password": PASSWORD, "full_name": "Pia Patient", "clinic": world.slug}
    return _deed(Ask("POST", "/auth/register", body=body), email, "user.registered", 201, done_before=frozenset({409}))


async def hire(world: World) -> Deed:
    admin = world.person("admin")
    body = {"email": f"{uuid.uuid4().hex}@x.test", "password": PASSWORD, "full_name": "Dan Doctor", "role": "doctor"}
    ask = Ask("POST", "/users/", admin.token, body)
    return _deed(ask, admin.id, "user.created", 201, done_before=frozenset({409}))


async def rename(world: World) -> Deed:
    patient = world.person("patient")
    ask = Ask("PATCH", "/users/me", patient.token, {"full_name": "Pia Patient"})
    # The same values again are the same account, and one more line in the log.
    return _deed(ask, patient.id, "user.updated", 200, times=(1, 2))


async def disable(world: World) -> Deed:
    admin = world.person("admin")
    ask = Ask("PATCH", f"/users/{world.person('patient').id}", admin.token, {"is_active": False})
    return _deed(ask, admin.id, "user.updated", 200, times=(1, 2))


async def log_in(world: World) -> Deed:
    email, person = await world.account()
    return _deed(world.login(email), person.id, "user.logged_in", 200, times=(1, 2))


async def log_in_with_code(world: World) -> Deed:
    """A code is good once: whose answer was lost waits for the next one."""
    email, person = await world.account()
    secret = await _app(world, person)
    ask = world.login(email, otp=_code(secret, 1))
    return _deed(ask, person.id, "user.logged_in", 200, done_before=frozenset({401}))


async def refresh(world: World) -> Deed:
    person, token = await world.session()
    ask = Ask("POST", "/auth/refresh", body={"refresh_token": token})
    successor = _json_of("refresh_token")
    return _deed(ask, person.id, "session.refreshed", 200, same=successor, is_repeatable=True)


async def log_out(world: World) -> Deed:
    person, token = await world.session()
    ask = Ask("POST", "/auth/logout", person.token, {"refresh_token": token})
    return _deed(ask, person.id, "session.ended", 204)


async def end_session(world: World) -> Deed:
    person, _ = await world.session()
    [session] = (await world.asks(Ask("GET", "/auth/sessions", person.token), 200))["items"]
    ask = Ask("DELETE", f"/auth/sessions/{session['id']}", person.token)
    return _deed(ask, person.id, "session.ended", 204, done_before=frozenset({404}))


async def change_password(world: World) -> Deed:
    _, person = await world.account()
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    ask = Ask("POST", "/auth/password", person.token, body)
    return _deed(ask, person.id, "user.password_changed", 204, done_before=frozenset({401}))


async def set_up_app(world: World) -> Deed:
    """Each asking makes a fresh secret; none is in force before it is confirmed."""
    _, person = await world.account()
    ask = Ask("POST", "/auth/mfa/totp", person.token, {"password": PASSWORD})
    return _deed(ask, person.id, "user.totp_begun", 200, times=(1, 2))


async def confirm_app(world: World) -> Deed:
    """Recovery codes that were lost with the answer are replaced by turning it off and on again."""
    _, person = await world.account()
    secret = await _secret(world, person)
    ask = Ask("POST", "/auth/mfa/totp/confirm", person.token, {"otp": _code(secret, 0)})
    return _deed(ask, person.id, "user.totp_confirmed", 200, done_before=frozenset({401}))


async def remove_app(world: World) -> Deed:
    _, person = await world.account()
    secret = await _app(world, person)
    ask = Ask("DELETE", "/auth/mfa/totp", person.token, {"otp": _code(secret, 1)})
    return _deed(ask, person.id, "user.totp_removed", 204, done_before=frozenset({401}))


async def _secret(world: World, person: Townsman) -> str:
    app = await world.asks(Ask("POST", "/auth/mfa/totp", person.token, {"password": PASSWORD}), 200)
    return str(app["secret"])


async def _app(world: World, person: Townsman) -> str:
    secret = await _secret(world, person)
    await world.asks(Ask("POST", "/auth/mfa/totp/confirm", person.token, {"otp": _code(secret, 0)}), 200)
    return secret


def _code(secret: str, steps: int) -> str:
    """The present code or the next one, of which either is good for half a minute more at least."""
    return pyotp.TOTP(secret).at(datetime.now(UTC) + steps * timedelta(seconds=STEP_S))


def _json_of(name: str) -> Callable[[Answer], object]:
    return lambda answer: answer.json()[name]


KEYED: tuple[Make, ...] = (book, book_again, book_taken, book_overlapping, prescribe, offer, offer_many)
# Several statements in one transaction.
TRANSACTIONS: tuple[Make, ...] = (refresh, change_password, confirm_app)
ALL: tuple[Make, ...] = (
    *KEYED, cancel, complete, offer_without_key, withdraw, register, hire, rename, disable, log_in, log_in_with_code,
    log_out, end_session, set_up_app, remove_app, *TRANSACTIONS,
)  # fmt: skip
