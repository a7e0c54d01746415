"""The application may make next year's months of `audit_logs` and `outbox`, and nothing else."""

from app.db.migrations.steps import run

revision = "0011_months_while_serving"
down_revision = "0010_outbox_by_month"
branch_labels = None
depends_on = None

# Without parameters, so that there is nothing to misuse. What waits for a lock holds up whoever comes after it: half a
# second is enough where no statement takes longer, and the next round asks again.
UPGRADE = """
CREATE FUNCTION make_audit_months() RETURNS integer LANGUAGE sql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET lock_timeout = '500ms'
    AS $$ SELECT public.make_months('audit_logs', 12) $$;
CREATE FUNCTION make_outbox_months() RETURNS integer LANGUAGE sql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET lock_timeout = '500ms'
    AS $$ SELECT public.make_months('outbox', 12) $$;
REVOKE EXECUTE ON FUNCTION make_audit_months, make_outbox_months FROM PUBLIC;
GRANT EXECUTE ON FUNCTION make_audit_months, make_outbox_months TO {app_role};

DROP FUNCTION make_audit_partitions;
"""

DOWNGRADE = """
CREATE FUNCTION make_audit_partitions(months_ahead integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    month date;
    partition text;
BEGIN
    FOR month IN
        SELECT generate_series(date_trunc('month', now() AT TIME ZONE 'UTC'),
                               date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => months_ahead),
                               interval '1 month')::date
    LOOP
        partition := format('audit_logs_%s', to_char(month, 'YYYY_MM'));
        CONTINUE WHEN to_regclass(partition) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I PARTITION OF audit_logs FOR VALUES FROM (%L) TO (%L)', partition,
                       month::timestamp AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC');
        -- A trigger for TRUNCATE is not inherited.
        EXECUTE format('CREATE TRIGGER tr_audit_logs_kept BEFORE TRUNCATE ON %I '
                       'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit_log()', partition);
    END LOOP;
END
$$;
REVOKE EXECUTE ON FUNCTION make_audit_partitions FROM PUBLIC;
DROP FUNCTION make_audit_months, make_outbox_months;
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
