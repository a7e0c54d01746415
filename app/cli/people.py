"""`telemed clinic …`, `user create` and `user reset-codes`."""

import sys
from typing import Annotated

import typer

from app.cli.console import fail, out
from app.cli.house import opened
from app.db.database import Database
from app.identity.mfa import service as mfa
from app.identity.passwords import LENGTH_MAX, LENGTH_MIN, Passwords
from app.identity.rules import DOCTOR, ROLES, STAFF
from app.identity.users import rules, service
from app.kit.errors import DomainError

COMMAND_LINE = "command-line"
NAME_LENGTH_MAX = 200
# As for the settings of the deployment.
MANY = 1_000_000


def create_clinic(
    slug: Annotated[str, typer.Argument(help="Its short name: a-z, 0-9 and hyphens.")],
) -> None:
    """Make a clinic. One deployment serves many; the first one, `main`, is there already."""
    if not rules.is_slug(slug):
        fail(f"{slug!r} cannot name a clinic: 1 to 63 of a-z, 0-9 and inner hyphens.")
    with opened() as house:
        clinic_id = house.run(lambda db, _: service.create_clinic(db, slug=slug))
    if clinic_id is None:
        fail(f"there is a clinic {slug!r} already.")
    out.print(f"Clinic {slug} is number {clinic_id}. Next: telemed user create EMAIL --role admin --clinic {slug} …")


def demand_second_factor(
    slug: Annotated[str, typer.Argument(help="The clinic's slug.")],
    of: Annotated[list[str] | None, typer.Option(help="doctor or admin; once for each.")] = None,
    nobody: Annotated[bool, typer.Option("--nobody", help="Demand it no more.")] = False,
) -> None:
    """Demand a second factor of these roles, and of no other. Who has none yet can only set one up."""
    roles = set(of or ())
    if bool(roles) == nobody:
        fail("say of whom: --of doctor --of admin, or --nobody.")
    if other := sorted(roles - STAFF):
        fail(f"it cannot be demanded of {other[0]!r}; choose doctor, admin or both.")

    async def work(db: Database, _: Passwords) -> None:
        clinic_id = await _clinic_id(db, slug)
        lacking = await service.demand_second_factor(db, clinic_id=clinic_id, roles=roles, request_id=COMMAND_LINE)
        whom = " and ".join(sorted(roles)) or "nobody"
        out.print(f"Clinic {slug} demands a second factor of {whom}. Now asked to set one up: {lacking}.")

    with opened() as house:
        house.run(work)


def limit_bookings(
    slug: Annotated[str, typer.Argument(help="The clinic's slug.")],
    ahead: Annotated[int | None, typer.Option(min=0, max=MANY, help="Consultations ahead; 0: no limits.")] = None,
    a_day: Annotated[int | None, typer.Option(min=0, max=MANY, help="Bookings within 24 hours; 0: no limit.")] = None,
) -> None:
    """Set what one patient of this clinic may book. What is left out is as BOOKINGS_AHEAD_MAX and so on say."""

    async def work(db: Database, _: Passwords) -> None:
        clinic_id = await _clinic_id(db, slug)
        await service.limit_bookings(db, clinic_id=clinic_id, ahead_max=ahead, a_day_max=a_day, request_id=COMMAND_LINE)
        told = [f"{name} {'as set for all' if value is None else value or 'unlimited'}" for name, value in limits]
        out.print(f"Clinic {slug}: {', '.join(told)}.", soft_wrap=True)

    limits = (("ahead", ahead), ("a day", a_day))
    with opened() as house:
        house.run(work)


def create_user(
    email: Annotated[str, typer.Argument(help="The e-mail to log in with.")],
    role: Annotated[str, typer.Option(help="admin, doctor or patient.")],
    name: Annotated[str, typer.Option(help="The full name.")],
    specialty: Annotated[str | None, typer.Option(help="Of a doctor.")] = None,
    clinic: Annotated[str, typer.Option(help="The clinic's slug.")] = rules.DEFAULT_CLINIC,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
) -> None:
    """Make a user, such as the first admin of a clinic."""
    if role not in ROLES:
        fail(f"{role!r} is no role; choose admin, doctor or patient.")
    if specialty is not None and role != DOCTOR:
        fail("--specialty is for doctors only.")
    new_user = service.NewUser(
        email=_email(email),
        full_name=_line("--name", name),
        role=role,
        specialty=None if specialty is None else _line("--specialty", specialty),
        # Last, so that nobody types one in vain.
        password=_password(password_stdin),
    )

    async def work(db: Database, passwords: Passwords) -> None:
        clinic_id = await _clinic_id(db, clinic)
        try:
            user = await service.create_user(
                db,
                passwords,
                clinic_id=clinic_id,
                new_user=new_user,
                actor_id=None,
                actor_role=None,
                request_id=COMMAND_LINE,
            )
        except DomainError as error:
            fail(error.detail)
        out.print(f"User {user.id} ({user.role}) of clinic {clinic} can log in.", soft_wrap=True)

    with opened() as house:
        house.run(work)


def reset_codes(
    email: Annotated[str, typer.Argument(help="Whose app or passkeys, and recovery codes, are lost.")],
    clinic: Annotated[str, typer.Option(help="The clinic's slug.")] = rules.DEFAULT_CLINIC,
) -> None:
    """Take somebody's second factors off and end their sessions. Be sure that it is they who ask."""

    async def work(db: Database, _: Passwords) -> None:
        clinic_id, user = await find_user(db, clinic, email)
        if not await mfa.reset(db, clinic_id=clinic_id, user_id=user.id, request_id=COMMAND_LINE):
            fail(f"{email} has no second factor.")
        out.print(f"{email} can log in with the password alone, and should set a factor up again.", soft_wrap=True)

    with opened() as house:
        house.run(work)


async def find_user(db: Database, slug: str, email: str) -> tuple[int, rules.User]:
    """The clinic's number and its user with this e-mail; ends the command if there is none."""
    clinic_id = await _clinic_id(db, slug)
    found = await service.find_users(db, clinic_id=clinic_id, filters={"email": email}, after=None, limit=1)
    if not found:
        fail(f"clinic {slug} has no user {email!r}.")
    return clinic_id, found[0]


async def _clinic_id(db: Database, slug: str) -> int:
    clinic_id = await service.find_clinic(db, slug=slug)
    if clinic_id is None:
        fail(f"there is no clinic {slug!r}; make it with: telemed clinic create {slug}")
    return clinic_id


def _email(text: str) -> str:
    try:
        return rules.valid_email(text)
    except ValueError:
        fail(f"{text!r} is not an e-mail address.")


def _line(option: str, text: str) -> str:
    if not text.strip() or len(text) > NAME_LENGTH_MAX:
        fail(f"{option} must have 1 to {NAME_LENGTH_MAX} characters.")
    if not _is_text(text):
        fail(f"{option} is not text in UTF-8.")
    return text


def _password(from_stdin: bool) -> str:
    if from_stdin:
        password = sys.stdin.buffer.readline().decode(errors="surrogateescape").rstrip("\r\n")
    else:
        password = str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    if not _is_text(password):
        fail("the password is not text in UTF-8.")
    if not LENGTH_MIN <= len(password) <= LENGTH_MAX or "\0" in password:
        fail(f"the password must have {LENGTH_MIN} to {LENGTH_MAX} characters, none of them NUL.")
    return password


def _is_text(text: str) -> bool:
    """Whether it came as UTF-8: Python smuggles other bytes in as lone surrogates, which PostgreSQL cannot store."""
    return text == text.encode(errors="replace").decode()
