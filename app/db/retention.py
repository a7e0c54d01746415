"""Dropping the audit log's old months: as the owner, when somebody asks for it, and never by the application."""

from sqlalchemy import Connection, text

from app.db import migrate

# Whoever writes an audit row waits behind us for so long at most.
LOCK_TIMEOUT_MS = 1_000

# Months as PostgreSQL knows them: what is no month (the default partition) is kept.
_MONTHS_OVER = text(
    r"""
    SELECT relname FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid
    WHERE inhparent = 'public.audit_logs'::regclass AND relname ~ '^audit_logs_[0-9]{4}_[0-9]{2}$'
        AND to_date(right(relname, 7), 'YYYY_MM')
            < date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => :keep_months)
    ORDER BY relname
    """
)
# One row in each clinic: a log that was cut says so.
_RECORD = text(
    """
    INSERT INTO audit_logs (clinic_id, id, action, entity_type, entity_id, outcome, request_id)
    SELECT clinic_id, gen_random_uuid(), 'audit_month.dropped', 'audit_month', :month, 'success', '-' FROM clinics
    """
)


def audit_months_over(url: str, *, keep_months: int) -> list[str]:
    """The months (`2020-01`) that lie more than `keep_months` whole months back. Raises `MigrationFailed`."""
    with migrate.locked(url) as connection:
        return [_month(name) for name in _over(connection, keep_months)]


def drop_audit_months(url: str, *, keep_months: int) -> list[str]:
    """They are gone, and each clinic's log says so; each month is a transaction. Raises `MigrationFailed`."""
    assert keep_months > 0, "0 keeps the log for ever"
    with migrate.locked(url) as connection:
        names = _over(connection, keep_months)
        connection.commit()
        for name in names:
            connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}"))
            connection.execute(text(f"DROP TABLE public.{name}"))
            connection.execute(_RECORD, {"month": _month(name)})
            connection.commit()
        return [_month(name) for name in names]


def _over(connection: Connection, keep_months: int) -> list[str]:
    return list(connection.scalars(_MONTHS_OVER, {"keep_months": keep_months}))


def _month(name: str) -> str:
    return name[-7:].replace("_", "-")
