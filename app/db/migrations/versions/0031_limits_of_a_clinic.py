"""A clinic's own limits of booking; where it has none, those of the deployment."""

from app.db.migrations.steps import run

revision = "0031_limits_of_a_clinic"
down_revision = "0030_a_patient_books_in_turn"
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
    {of_the_clinic}
    IF ahead_max = 0 THEN
        RETURN NULL;
    END IF;
    {alone}
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
"""
OF_THE_CLINIC = """
    SELECT coalesce(bookings_ahead_max, ahead_max), coalesce(bookings_a_day_max, day_max) INTO ahead_max, day_max
        FROM clinics WHERE clinic_id = NEW.clinic_id;
"""

ALONE = "-- Nobody else books for this patient meanwhile: `tr_consultations_in_turn`."
LOCK = "PERFORM pg_advisory_xact_lock(NEW.clinic_id, hashtext(NEW.patient_id::text));"

UPGRADE = f"""
ALTER TABLE clinics
    ADD COLUMN bookings_ahead_max integer CONSTRAINT ck_clinics_bookings_ahead_max CHECK (bookings_ahead_max >= 0),
    ADD COLUMN bookings_a_day_max integer CONSTRAINT ck_clinics_bookings_a_day_max CHECK (bookings_a_day_max >= 0);
GRANT UPDATE (bookings_ahead_max, bookings_a_day_max) ON clinics TO {{app_role}};
{FUNCTION.replace("{of_the_clinic}", OF_THE_CLINIC.strip()).replace("{alone}", ALONE)}
"""

DOWNGRADE = f"""
{FUNCTION.replace("{of_the_clinic}", "").replace("{alone}", LOCK)}
ALTER TABLE clinics DROP COLUMN bookings_ahead_max, DROP COLUMN bookings_a_day_max;
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
