"""Prescriptions: one for a completed consultation, never edited."""

from app.db.migrations.steps import run

revision = "0006_prescriptions"
down_revision = "0005_consultations"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE prescriptions (
    clinic_id integer NOT NULL,
    id uuid NOT NULL,
    consultation_id uuid NOT NULL,
    doctor_id uuid NOT NULL,
    patient_id uuid NOT NULL,
    consultation_status text NOT NULL DEFAULT 'completed',
    items jsonb NOT NULL,
    notes text,
    idempotency_key text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_prescriptions PRIMARY KEY (clinic_id, id),
    CONSTRAINT fk_prescriptions_consultation
        FOREIGN KEY (clinic_id, consultation_id, doctor_id, patient_id, consultation_status)
        REFERENCES consultations (clinic_id, id, doctor_id, patient_id, status),
    CONSTRAINT uq_prescriptions_clinic_id_consultation_id UNIQUE (clinic_id, consultation_id),
    CONSTRAINT uq_prescriptions_idempotency_key UNIQUE (clinic_id, doctor_id, idempotency_key),
    CONSTRAINT ck_prescriptions_consultation_status CHECK (consultation_status = 'completed')
);
CREATE INDEX ix_prescriptions_clinic_id_patient_id_id ON prescriptions (clinic_id, patient_id, id);
CREATE INDEX ix_prescriptions_clinic_id_doctor_id_id ON prescriptions (clinic_id, doctor_id, id);

CREATE FUNCTION refuse_change_of_prescription() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a prescription is never changed or deleted'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'tr_prescriptions_final', TABLE = 'prescriptions';
END
$$;
CREATE TRIGGER tr_prescriptions_final BEFORE UPDATE OR DELETE ON prescriptions
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_prescription();
CREATE TRIGGER tr_prescriptions_kept BEFORE TRUNCATE ON prescriptions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_prescription();

GRANT SELECT, INSERT ON prescriptions TO {app_role};
"""

DOWNGRADE = """
DROP TABLE prescriptions;
DROP FUNCTION refuse_change_of_prescription;
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
