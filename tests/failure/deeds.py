"""Every writing use case, as something that can be broken off at any point and asked for again."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyotp

from app.identity.mfa.rules import STEP_S
from tests.cast import PASSWORD, iso, prescription_for, tomorrow
from tests.failure.story import Deed, Make, World
from tests.proof.town import Townsman
from tests.proof.wire import Answer, Ask, booking, status_change

NEW_PASSWORD = "walnut-harbour-drum"


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
