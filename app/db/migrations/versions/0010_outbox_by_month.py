"""The outbox by month, so that old months can be dropped whole.

Rows are copied while writers wait: about a second for 300,000.
"""

from app.db.migrations.steps import run

revision = "0010_outbox_by_month"
down_revision = "0009_outbox"
branch_labels = None
depends_on = None

UPGRADE = """
-- Beside its table and then attached, because CREATE TABLE … PARTITION OF would stop every writer of the table.
CREATE FUNCTION make_month(parent text, month date) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    partition text := parent || to_char(month, '_YYYY_MM');
    guard record;
BEGIN
    IF to_regclass('public.' || partition) IS NOT NULL THEN
        RETURN 0;
    END IF;
    -- Two may want the same month at one time.
    EXECUTE format('LOCK TABLE ONLY public.%I IN SHARE UPDATE EXCLUSIVE MODE', parent);
    IF to_regclass('public.' || partition) IS NOT NULL THEN
        RETURN 0;
    END IF;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', partition,
                   parent);
    -- A trigger for TRUNCATE (32) is not inherited.
    FOR guard IN
        SELECT tgname, proname FROM pg_trigger JOIN pg_proc AS p ON p.oid = tgfoid
        WHERE tgrelid = to_regclass('public.' || parent) AND tgtype & 32 <> 0
    LOOP
        EXECUTE format('CREATE TRIGGER %I BEFORE TRUNCATE ON public.%I FOR EACH STATEMENT EXECUTE FUNCTION public.%I()',
                       guard.tgname, partition, guard.proname);
    END LOOP;
    EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)', parent, partition,
                   month::timestamp AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC');
    RETURN 1;
EXCEPTION WHEN check_violation THEN
    -- The default partition has rows of this month: they stay there, and so will the rest of the month.
    RETURN 0;
END
$$;
CREATE FUNCTION make_months(parent text, months_ahead integer) RETURNS integer LANGUAGE sql AS $$
    SELECT sum(public.make_month(parent, month::date))::integer
    FROM generate_series(date_trunc('month', now() AT TIME ZONE 'UTC'),
                         date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => months_ahead),
                         interval '1 month') AS month
$$;
REVOKE EXECUTE ON FUNCTION make_month, make_months FROM PUBLIC;

ALTER TABLE outbox RENAME TO outbox_before;
ALTER TABLE outbox_before RENAME CONSTRAINT pk_outbox TO pk_outbox_before;
ALTER INDEX ix_outbox_clinic_id_created_at_unpublished RENAME TO ix_outbox_before;

CREATE TABLE outbox (
    clinic_id integer NOT NULL,
    id uuid NOT NULL,
    topic text NOT NULL,
    entity_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz,
    CONSTRAINT pk_outbox PRIMARY KEY (clinic_id, id, created_at)
) PARTITION BY RANGE (created_at);
CREATE INDEX ix_outbox_clinic_id_created_at_unpublished ON outbox (clinic_id, created_at) WHERE published_at IS NULL;
-- Rows outside of every month land here instead of being refused.
CREATE TABLE outbox_default PARTITION OF outbox DEFAULT;
GRANT SELECT, INSERT, DELETE ON outbox TO {app_role};
GRANT UPDATE (published_at) ON outbox TO {app_role};

SELECT make_months('outbox', 12);
SELECT make_month('outbox', month::date)
FROM (SELECT DISTINCT date_trunc('month', created_at AT TIME ZONE 'UTC') FROM outbox_before) AS kept (month);
INSERT INTO outbox (clinic_id, id, topic, entity_id, created_at, published_at)
SELECT clinic_id, id, topic, entity_id, created_at, published_at FROM outbox_before;
DROP TABLE outbox_before;
"""

DOWNGRADE = """
ALTER TABLE outbox RENAME TO outbox_before;
ALTER TABLE outbox_before RENAME CONSTRAINT pk_outbox TO pk_outbox_before;
ALTER INDEX ix_outbox_clinic_id_created_at_unpublished RENAME TO ix_outbox_before;

CREATE TABLE outbox (
    clinic_id integer NOT NULL,
    id uuid NOT NULL,
    topic text NOT NULL,
    entity_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz,
    CONSTRAINT pk_outbox PRIMARY KEY (clinic_id, id)
);
CREATE INDEX ix_outbox_clinic_id_created_at_unpublished ON outbox (clinic_id, created_at) WHERE published_at IS NULL;
GRANT SELECT, INSERT, DELETE ON outbox TO {app_role};
GRANT UPDATE (published_at) ON outbox TO {app_role};

INSERT INTO outbox (clinic_id, id, topic, entity_id, created_at, published_at)
SELECT clinic_id, id, topic, entity_id, created_at, published_at FROM outbox_before;
DROP TABLE outbox_before;
DROP FUNCTION make_months, make_month;
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
