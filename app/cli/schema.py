"""`telemed migrate` and `telemed db url`."""

from typing import Annotated

import typer

from app.cli.console import out
from app.cli.house import opened
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
        out.print(house.owner_url if owner else house.app_url, soft_wrap=True, markup=False)
