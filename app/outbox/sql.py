"""The months of the outbox. The functions decide which: what may be dropped is no choice of the application's."""

from sqlalchemy import func, select

from app.db.statement import compiled


def _name(month: str | None) -> str | None:
    return month


MAKE_MONTHS = compiled("make_outbox_months", select(func.make_outbox_months()), int, is_write=True)

# One a transaction, so that writers wait for one at most.
DROP_MONTH = compiled("drop_outbox_month", select(func.drop_outbox_month()), _name, is_write=True)
