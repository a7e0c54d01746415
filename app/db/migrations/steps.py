"""How a step runs: bounded waits for locks, and the name of the application's role filled in."""

from alembic import context, op

# A step that waits longer for a lock holds up every query behind it; better to fail and be run again.
LOCK_TIMEOUT_MS = 3_000


def run(sql: str) -> None:
    """Run `sql`, in which `{app_role}` stands for the application's role."""
    app_role: str = context.config.attributes["app_role"]
    # exec_driver_sql, because a colon or a percent sign in the SQL is no parameter.
    op.get_bind().exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
    op.get_bind().exec_driver_sql(sql.replace("{app_role}", app_role).replace("%", "%%"))
