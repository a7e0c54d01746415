"""How many consultations a patient may have ahead, and book in a day: nobody hoards a doctor's slots."""

from app.db.migrations.steps import run

revision = "0019_booking_limits"
down_revision = "0018_login_attempts"
branch_labels = None
depends_on = None

UPGRADE = """
-- The limits are settings of the session: whoever sets none (psql, an older release) has none.
-- A function that is volatile sees what was committed before each of its statements began: of two bookings of one
-- patient at once, the second waits for the first and then counts it.
CREATE FUNCTION refuse_hoarding() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    ahead_max integer := coalesce(nullif(current_setting('telemed.bookings_ahead_max', true), ''), '0');
    day_max integer := coalesce(nullif(current_setting('telemed.bookings_a_day_max', true), ''), '0');
    ahead integer;
    in_a_day integer;
BEGIN
    IF ahead_max = 0 THEN
        RETURN NULL;
    END IF;
    PERFORM pg_advisory_xact_lock(NEW.clinic_id, hashtext(NEW.patient_id::text));
    -- What was booked within a day began after that day did: one range of an index has both.
    SELECT count(*) FILTER (WHERE status = 'scheduled' AND starts_at > now()),
           count(*) FILTER (WHERE created_at > now() - interval '1 day')
        INTO ahead, in_a_day
        FROM consultations
        WHERE clinic_id = NEW.clinic_id AND patient_id = NEW.patient_id AND starts_at > now() - interval '1 day';
    IF ahead > ahead_max OR (day_max > 0 AND in_a_day > day_max) THEN
        RAISE EXCEPTION 'the patient has booked too much'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'tr_consultations_not_hoarded', TABLE = 'consultations';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER tr_consultations_not_hoarded AFTER INSERT ON consultations
    FOR EACH ROW EXECUTE FUNCTION refuse_hoarding();
"""

DOWNGRADE = """
DROP TRIGGER tr_consultations_not_hoarded ON consultations;
DROP FUNCTION refuse_hoarding;
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
