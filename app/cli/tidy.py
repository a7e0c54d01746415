"""`telemed tidy`."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from app.audit.seals import jobs, rules, service
from app.cli.console import fail, out
from app.cli.house import House, opened
from app.db import retention
from app.db.database import Database
from app.db.migrate import MigrationFailed
from app.kit.signing import Signer


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
        try:
            months = retention.audit_months_over(house.owner_url, keep_months=keep_months)
            if months and not dry_run:
                _announce(house, months[-1])
                months = retention.drop_audit_months(house.owner_url, keep_months=keep_months)
        except MigrationFailed as error:
            fail(f"cannot drop months: {error}. Run it again; see also: telemed check")
        verb = "Would drop" if dry_run else "Dropped"
        out.print(f"{verb} {', '.join(months)}." if months else "Nothing to drop.", soft_wrap=True)


def _announce(house: House, newest_month: str) -> None:
    """The seals say first what may be gone: whoever drops months without the key is found."""
    year, month = map(int, newest_month.split("-"))
    before = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    signer = Signer(house.settings.stable_key_for(rules.KEY))

    async def work(db: Database) -> None:
        for clinic in await service.clinics(db):
            await jobs.announce_drop(db, clinic_id=clinic.clinic_id, signer=signer, before=before)

    house.run(lambda db, _: work(db))
