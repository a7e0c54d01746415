"""`telemed text rotate-keys` and `telemed text erase`."""

from typing import Annotated

import typer

from app.cli.console import fail, out
from app.cli.house import opened
from app.cli.people import COMMAND_LINE, find_user
from app.db.database import Database
from app.encryption import service
from app.encryption.rules import KeyRing
from app.identity.passwords import Passwords
from app.identity.users import rules
from app.kit.errors import Unavailable

LACKING = "of clinical text were sealed with a secret that is not in FIELD_KEYS"


def rotate_keys() -> None:
    """Wrap the keys of clinical text with the first secret of FIELD_KEYS. Run again after an interruption."""

    async def work(db: Database, ring: KeyRing) -> int:
        if lacking := await service.unreadable(db, ring):
            fail(f"{lacking} pieces {LACKING}: add it behind the first one.")
        with out.status("Wrapping keys …") as status:
            return await service.rotate(db, ring, tell=lambda done: status.update(f"Wrapping keys: {done} …"))

    with opened() as house:
        ring = house.key_ring
        try:
            done = house.run(lambda db, _: work(db, ring))
        except Unavailable as error:
            fail(f"{error.detail} What was wrapped stays so; run this again.")
    out.print(f"{done} keys wrapped with the first secret of FIELD_KEYS; now it wraps all of them.", soft_wrap=True)


def erase(
    email: Annotated[str, typer.Argument(help="Whose clinical text nobody shall read any more.")],
    clinic: Annotated[str, typer.Option(help="The clinic's slug.")] = rules.DEFAULT_CLINIC,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase the keys of a patient's clinical text: it cannot be read again. docs/keys.md: backups, too."""

    async def work(db: Database, _: Passwords) -> None:
        clinic_id, user = await find_user(db, clinic, email)
        texts = await service.erase(db, clinic_id=clinic_id, patient_id=user.id, request_id=COMMAND_LINE)
        out.print(
            f"{texts} pieces of text of {email} are unreadable now. For backups, see docs/keys.md.",
            soft_wrap=True,
            markup=False,
        )

    with opened() as house:
        if not yes:
            typer.confirm(f"Prescriptions and reasons of {email} cannot be read again. Erase?", abort=True)
        house.run(work)
