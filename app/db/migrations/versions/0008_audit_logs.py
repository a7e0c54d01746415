"""The audit log: append-only, by month."""

from app.db.migrations.steps import run

revision = "0008_audit_logs"
down_revision = "0007_idempotency_keys"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE audit_logs (
    clinic_id integer NOT NULL,
    id uuid NOT NULL,
    occurred_at timestamptz NOT NULL DEFAULT now(),
    actor_id uuid,
    actor_role text,
    action text NOT NULL,
    entity_type text NOT NULL,
    entity_id text,
    outcome text NOT NULL,
    request_id text NOT NULL,
    details jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT pk_audit_logs PRIMARY KEY (clinic_id, id, occurred_at),
    CONSTRAINT ck_audit_logs_outcome CHECK (outcome IN ('success', 'denied', 'failure'))
) PARTITION BY RANGE (occurred_at);
CREATE INDEX ix_audit_logs_clinic_id_occurred_at_id ON audit_logs (clinic_id, occurred_at, id);
CREATE INDEX ix_audit_logs_clinic_id_entity_id_occurred_at ON audit_logs (clinic_id, entity_id, occurred_at);
CREATE INDEX ix_audit_logs_clinic_id_actor_id_occurred_at ON audit_logs (clinic_id, actor_id, occurred_at);

CREATE FUNCTION refuse_change_of_audit_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only'
        USING ERRCODE = 'insufficient_privilege', TABLE = 'audit_logs';
END
$$;
CREATE TRIGGER tr_audit_logs_append_only BEFORE UPDATE OR DELETE ON audit_logs
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_audit_log();
CREATE TRIGGER tr_audit_logs_kept BEFORE TRUNCATE ON audit_logs
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit_log();

-- Rows outside of every month land here instead of being refused; `telemed migrate` makes months ahead.
CREATE TABLE audit_logs_default PARTITION OF audit_logs DEFAULT;
CREATE TRIGGER tr_audit_logs_kept BEFORE TRUNCATE ON audit_logs_default
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit_log();

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

GRANT SELECT, INSERT ON audit_logs TO {app_role};
"""

DOWNGRADE = """
DROP TABLE audit_logs;
DROP FUNCTION make_audit_partitions;
DROP FUNCTION refuse_change_of_audit_log;
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
