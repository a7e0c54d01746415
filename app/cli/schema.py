"""`telemed migrate` and `telemed db url`."""

from typing import Annotated

import typer

from app.cli.console import out
from app.cli.house import House, opened
from app.db import migrate as migrations


def migrate() -> None:
    """Bring the schema up to date. Safe to run again, and from several places at once."""
    with opened() as house:
        house.migrate()
        out.print(f"The schema is at {migrations.head()}.")


def url(
    *,
    owner: Annotated[bool, typer.Option("--owner", help="The role that migrates, not the application's.")] = False,
) -> None:
    """Print the database's address, for psql."""
    with opened() as house:
        out.print(house.owner_url if owner else _under_role(house), soft_wrap=True, markup=False)


def _under_role(house: House) -> str:
    """The address under which a session has the application's role, as the application's own sessions have."""
    if house.settings.is_embedded or "options=" in house.app_url:
        return house.app_url
    joint = "&" if "?" in house.app_url else "?"
    return f"{house.app_url}{joint}options=-c%20role%3D{house.settings.database_app_role}"
