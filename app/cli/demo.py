"""`telemed demo`: a small clinic to play with, on the embedded server only."""

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated

import typer
from pydantic import TypeAdapter

from app.availability import rules as availability_rules
from app.availability import service as availability
from app.availability.errors import SlotOverlap
from app.availability.rules import Interval
from app.cli import serve
from app.cli.console import fail, out
from app.cli.house import House, opened
from app.consultation import service as consultation
from app.consultation.rules import SCHEDULED
from app.db.database import Database
from app.db.embedded import serve_lock
from app.encryption.rules import KeyRing
from app.identity.passwords import Passwords
from app.identity.rules import ADMIN, DOCTOR, PATIENT, Principal
from app.identity.users import service as users
from app.identity.users.errors import EmailTaken
from app.identity.users.rules import DEFAULT_CLINIC
from app.kit import clock
from app.kit.ids import uuid7

REQUEST_ID = "demo"
PASSWORD = "demo-plum-tractor"  # noqa: S105 - for the demo clinic, which exists on the embedded server only
DAYS_AHEAD = 7
FIRST_HOUR, LAST_HOUR = 8, 16
SLOT_LENGTH = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody of the demo clinic."""

    email: str
    full_name: str
    role: str
    specialty: str | None = None


PEOPLE = (
    Person("admin@demo.example", "Amara Admin", ADMIN),
    Person("dora@demo.example", "Dr. Dora Novak", DOCTOR, "General practice"),
    Person("dev@demo.example", "Dr. Dev Mehta", DOCTOR, "Dermatology"),
    Person("paul@demo.example", "Paul Patient", PATIENT),
    Person("petra@demo.example", "Petra Patient", PATIENT),
)
BOOKING_PATIENT = PEOPLE[3]
LOOKED_AT_MAX = 500
_SLOT = TypeAdapter(availability_rules.Slot)


def demo(
    *,
    is_served: Annotated[bool, typer.Option("--serve", help="Serve it afterwards.")] = False,
    host: Annotated[str, typer.Option(help="Which address to listen on.")] = "127.0.0.1",
    port: serve.Port = 8000,
) -> None:
    """Load the demo clinic: an admin, two doctors with open slots for a week, two patients. Safe to run again."""
    with opened() as house, ExitStack() as stack:
        if not house.settings.is_embedded:
            fail("demo logins are for the embedded server only; unset DATABASE_URL, or use: telemed user create")
        if is_served:
            stack.enter_context(serve_lock(house.settings.telemed_data_dir))
        house.migrate()
        slot_id = house.run(partial(_load, ring=house.key_ring))
        _print_screen(house, host=host, port=port, slot_id=slot_id)
        if is_served:
            serve.run(host=host, port=port, workers=1)


async def _load(db: Database, passwords: Passwords, *, ring: KeyRing) -> int | None:
    """The people, their slots, and the number of one that the printed lines can book."""
    clinic_id = await users.find_clinic(db, slug=DEFAULT_CLINIC)
    assert clinic_id is not None, "the migrations make it"
    with out.status("Loading the demo clinic …") if out.is_terminal else ExitStack():
        for person in PEOPLE:
            await _create(db, passwords, clinic_id, person)
        now = clock.now()
        doctors = await users.find_users(
            db, clinic_id=clinic_id, filters={"role": DOCTOR, "is_active": True}, after=None, limit=100
        )
        for doctor in doctors:
            if any(doctor.email == person.email for person in PEOPLE):
                await _offer_week(db, Principal(clinic_id, doctor.id, DOCTOR, uuid7(), 1), now=now)
        return await _bookable_slot(db, ring, clinic_id, now=now)


async def _bookable_slot(db: Database, ring: KeyRing, clinic_id: int, *, now: datetime) -> int | None:
    """An open slot at which the patient of the printed lines has no other consultation."""
    [patient] = await users.find_users(
        db, clinic_id=clinic_id, filters={"email": BOOKING_PATIENT.email}, after=None, limit=1
    )
    booked = await consultation.find_own_consultations(
        db,
        ring,
        actor=Principal(clinic_id, patient.id, PATIENT, uuid7(), 1),
        filters={"status": SCHEDULED, "from_": now - availability_rules.LENGTH_MAX},
        before=None,
        limit=LOOKED_AT_MAX,
    )
    found = await availability.find_slots(
        db,
        clinic_id=clinic_id,
        doctor_id=None,
        status=availability_rules.OPEN,
        window=(now, now + timedelta(days=DAYS_AHEAD + 1)),
        after=None,
        limit=LOOKED_AT_MAX,
    )
    for slot in map(_SLOT.validate_json, found):
        if not any(slot.starts_at < other.ends_at and other.starts_at < slot.ends_at for other in booked):
            return slot.id
    return None


async def _create(db: Database, passwords: Passwords, clinic_id: int, person: Person) -> None:
    known = await users.find_users(db, clinic_id=clinic_id, filters={"email": person.email}, after=None, limit=1)
    if known:
        return
    new_user = users.NewUser(
        email=person.email,
        password=PASSWORD,
        full_name=person.full_name,
        role=person.role,
        specialty=person.specialty,
    )
    try:
        await users.create_user(
            db, passwords, clinic_id=clinic_id, new_user=new_user, actor_id=None, actor_role=None,
            request_id=REQUEST_ID,
        )  # fmt: skip
    except EmailTaken:
        return


async def _offer_week(db: Database, doctor: Principal, *, now: datetime) -> None:
    """Half-hours from 8 to 16 UTC for the coming days; a day that has slots already stays as it is."""
    for day in range(1, DAYS_AHEAD + 1):
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=day)
        starts = [midnight + timedelta(hours=FIRST_HOUR) + i * SLOT_LENGTH for i in range(2 * (LAST_HOUR - FIRST_HOUR))]
        intervals = [Interval("slot", start, start + SLOT_LENGTH) for start in starts]
        try:
            await availability.offer_slots(
                db, doctor=doctor, intervals=intervals, key=None, now=now, request_id=REQUEST_ID
            )
        except SlotOverlap:
            continue


def _print_screen(house: House, *, host: str, port: int, slot_id: int | None) -> None:
    """Everything that a newcomer needs, on one screen."""
    base = f"http://{'localhost' if host in ('127.0.0.1', '0.0.0.0', '::1') else host}:{port}"  # noqa: S104
    out.print(f"\nThe demo clinic is open. Its data is in {house.settings.telemed_data_dir}/.\n", soft_wrap=True)
    out.print(f"  Swagger UI   {base}/docs\n")
    for person in PEOPLE:
        out.print(f"  {person.role:<8}     {person.email:<20} {PASSWORD}", markup=False)
    out.print("\nBook a slot from another terminal (send the last line twice: the answer is the same):\n")
    for line in curl_lines(base, slot_id):
        out.print(f"  {line}", markup=False, soft_wrap=True)
    out.print("")


def curl_lines(base: str, slot_id: int | None) -> list[str]:
    """Log in, look for slots, book one."""
    json_header = "-H 'content-type: application/json'"
    bearer = '-H "authorization: Bearer $TOKEN"'
    pick = """sed 's/.*"access_token":"\\([^"]*\\).*/\\1/'"""
    login = f'{{"email":"{BOOKING_PATIENT.email}","password":"{PASSWORD}"}}'
    booking = f"-H 'idempotency-key: my-booking-of-slot-{slot_id or 1}' -d '{{\"slot_id\":{slot_id or 1}}}'"
    return [
        f"TOKEN=$(curl -s {base}/auth/login {json_header} -d '{login}' | {pick})",
        f'curl -s "{base}/availability/?limit=3" {bearer}',
        f"curl -s {base}/bookings/ {bearer} {json_header} {booking}",
    ]
