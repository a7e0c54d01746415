"""One patient's bookings wait for each other before they look, with limits or without.

Of two that overlap, each saw the other's row in the exclusion constraint's index and waited for it: a deadlock, which
PostgreSQL takes a second to notice.
"""

from app.db.migrations.steps import run

revision = "0030_a_patient_books_in_turn"
down_revision = "0029_text_is_sealed"
branch_labels = None
depends_on = None

FUNCTION = """
CREATE OR REPLACE FUNCTION refuse_hoarding() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    ahead_max integer := coalesce(nullif(current_setting('telemed.bookings_ahead_max', true), ''), '0');
    day_max integer := coalesce(nullif(current_setting('telemed.bookings_a_day_max', true), ''), '0');
    ahead integer;
    in_a_day integer;
BEGIN
    {before}
    IF ahead_max = 0 THEN
        RETURN NEW;
    END IF;
    {after}
    -- What was booked within a day began after that day did: one range of an index has both.
    SELECT count(*) FILTER (WHERE status = 'scheduled' AND starts_at > now()),
           count(*) FILTER (WHERE created_at > now() - interval '1 day')
        INTO ahead, in_a_day
        FROM consultations
        WHERE clinic_id = NEW.clinic_id AND patient_id = NEW.patient_id AND starts_at > now() - interval '1 day';
    IF ahead {reached} ahead_max OR (day_max > 0 AND in_a_day {reached} day_max) THEN
        RAISE EXCEPTION 'the patient has booked too much'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'tr_consultations_not_hoarded', TABLE = 'consultations';
    END IF;
    RETURN NEW;
END
$$;
DROP TRIGGER tr_consultations_not_hoarded ON consultations;
CREATE TRIGGER tr_consultations_not_hoarded {when} INSERT ON consultations
    FOR EACH ROW EXECUTE FUNCTION refuse_hoarding();
"""
LOCK = "PERFORM pg_advisory_xact_lock(NEW.clinic_id, hashtext(NEW.patient_id::text));"


def upgrade() -> None:
    run(_function(before=LOCK, after="", reached=">=", when="BEFORE"))


def downgrade() -> None:
    run(_function(before="", after=LOCK, reached=">", when="AFTER"))


def _function(**parts: str) -> str:
    text = FUNCTION
    for name, part in parts.items():
        text = text.replace(f"{{{name}}}", part)
    return text
