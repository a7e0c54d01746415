"""`telemed tidy`."""

from typing import Annotated

import typer

from app.cli.console import fail, out
from app.cli.house import opened
from app.db import retention
from app.db.migrate import MigrationFailed


def tidy(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be dropped.")] = False,
) -> None:
    """Drop the audit log's months that are older than AUDIT_KEEP_MONTHS. They cannot be brought back."""
    with opened() as house:
        keep_months = house.settings.audit_keep_months
        if not keep_months:
            out.print("Nothing to drop: AUDIT_KEEP_MONTHS is 0, the audit log is kept for ever.")
            return
        work = retention.audit_months_over if dry_run else retention.drop_audit_months
        try:
            months = work(house.owner_url, keep_months=keep_months)
        except MigrationFailed as error:
            fail(f"cannot drop months: {error}. Run it again; see also: telemed check")
        verb = "Would drop" if dry_run else "Dropped"
        out.print(f"{verb} {', '.join(months)}." if months else "Nothing to drop.", soft_wrap=True)
