"""The application may drop an outbox month that is over and told, and no other."""

from app.db.migrations.steps import run

revision = "0012_outbox_months_dropped"
down_revision = "0011_months_while_serving"
branch_labels = None
depends_on = None

# 30 days after a month's end everybody who was told has had the time to say that it did not arrive.
# Whoever books waits while this waits for a lock: a fifth of a second, and the next round tries again.
UPGRADE = """
CREATE FUNCTION drop_outbox_month() RETURNS text LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET lock_timeout = '200ms' SET enable_seqscan = off AS $$
DECLARE
    month text;
    is_needed boolean;
BEGIN
    FOR month IN
        SELECT relname FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid
        WHERE inhparent = 'public.outbox'::regclass AND relname ~ '^outbox_[0-9]{4}_[0-9]{2}$'
            AND to_date(right(relname, 7), 'YYYY_MM') + interval '1 month' + interval '30 days'
                < now() AT TIME ZONE 'UTC'
        ORDER BY relname
    LOOP
        -- Asked without a lock, and once more under it.
        EXECUTE format('SELECT EXISTS (SELECT FROM public.%I WHERE published_at IS NULL)', month) INTO is_needed;
        CONTINUE WHEN is_needed;
        -- The whole before the part, as writers lock, so that nobody waits in a circle.
        LOCK TABLE ONLY public.outbox IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('LOCK TABLE public.%I IN ACCESS EXCLUSIVE MODE', month);
        EXECUTE format('SELECT EXISTS (SELECT FROM public.%I WHERE published_at IS NULL)', month) INTO is_needed;
        CONTINUE WHEN is_needed;
        EXECUTE format('DROP TABLE public.%I', month);
        RETURN month;
    END LOOP;
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION drop_outbox_month FROM PUBLIC;
GRANT EXECUTE ON FUNCTION drop_outbox_month TO {app_role};
"""

DOWNGRADE = """
DROP FUNCTION drop_outbox_month;
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
