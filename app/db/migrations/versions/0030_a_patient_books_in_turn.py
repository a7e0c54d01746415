"""One patient's bookings wait for each other before they look, with limits or without.

Of two that overlap, each saw the other's row in the exclusion constraint's index and waited for it: a deadlock, which
PostgreSQL takes a second to notice.
"""

from app.db.migrations.steps import run

revision = "0030_a_patient_books_in_turn"
down_revision = "0029_text_is_sealed"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE FUNCTION wait_for_turn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(NEW.clinic_id, hashtext(NEW.patient_id::text));
    RETURN NEW;
END
$$;
CREATE TRIGGER tr_consultations_in_turn BEFORE INSERT ON consultations
    FOR EACH ROW EXECUTE FUNCTION wait_for_turn();
"""

DOWNGRADE = """
DROP TRIGGER tr_consultations_in_turn ON consultations;
DROP FUNCTION wait_for_turn;
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
