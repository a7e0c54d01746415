"""Break-glass: a doctor opens a patient's record for an hour, with a reason, and an admin reviews it."""

from app.db.migrations.steps import run

revision = "0024_break_glass_grants"
down_revision = "0023_subject_of_audit_rows"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE break_glass_grants (
    clinic_id integer NOT NULL,
    id uuid NOT NULL,
    doctor_id uuid NOT NULL,
    patient_id uuid NOT NULL,
    reason text NOT NULL,
    granted_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL DEFAULT now() + interval '1 hour',
    reviewed_at timestamptz,
    reviewed_by uuid,
    review_note text,
    CONSTRAINT pk_break_glass_grants PRIMARY KEY (clinic_id, id),
    CONSTRAINT fk_break_glass_grants_doctor FOREIGN KEY (clinic_id, doctor_id) REFERENCES users (clinic_id, id),
    CONSTRAINT fk_break_glass_grants_patient FOREIGN KEY (clinic_id, patient_id) REFERENCES users (clinic_id, id),
    CONSTRAINT fk_break_glass_grants_reviewer FOREIGN KEY (clinic_id, reviewed_by) REFERENCES users (clinic_id, id),
    CONSTRAINT ck_break_glass_grants_length
        CHECK (expires_at > granted_at AND expires_at - granted_at <= interval '1 hour'),
    CONSTRAINT ck_break_glass_grants_review CHECK (
        (reviewed_at IS NULL) = (reviewed_by IS NULL)
        AND (review_note IS NULL OR reviewed_at IS NOT NULL)
        AND reviewed_by <> doctor_id
    )
);
CREATE INDEX ix_break_glass_grants_in_force
    ON break_glass_grants (clinic_id, doctor_id, patient_id, expires_at);
CREATE INDEX ix_break_glass_grants_clinic_id_id_unreviewed
    ON break_glass_grants (clinic_id, id) WHERE reviewed_at IS NULL;
CREATE INDEX ix_break_glass_grants_clinic_id_id_reviewed
    ON break_glass_grants (clinic_id, id) WHERE reviewed_at IS NOT NULL;

-- A review is written once; everything else stays as it was said.
CREATE FUNCTION refuse_change_of_break_glass_grant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE'
        AND OLD.reviewed_at IS NULL
        AND (OLD.clinic_id, OLD.id, OLD.doctor_id, OLD.patient_id, OLD.reason, OLD.granted_at, OLD.expires_at)
          = (NEW.clinic_id, NEW.id, NEW.doctor_id, NEW.patient_id, NEW.reason, NEW.granted_at, NEW.expires_at)
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a break-glass grant is never deleted, and changed by nothing but its one review'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'tr_break_glass_grants_final', TABLE = 'break_glass_grants';
END
$$;
CREATE TRIGGER tr_break_glass_grants_final BEFORE UPDATE OR DELETE ON break_glass_grants
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_break_glass_grant();
CREATE TRIGGER tr_break_glass_grants_kept BEFORE TRUNCATE ON break_glass_grants
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_break_glass_grant();

GRANT SELECT, INSERT ON break_glass_grants TO {app_role};
GRANT UPDATE (reviewed_at, reviewed_by, review_note) ON break_glass_grants TO {app_role};
"""

DOWNGRADE = """
DROP TABLE break_glass_grants;
DROP FUNCTION refuse_change_of_break_glass_grant;
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
