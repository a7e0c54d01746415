"""Consultations, final once completed or cancelled."""

from app.db.migrations.steps import run

revision = "0005_consultations"
down_revision = "0004_availability_slots"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE consultations (
    clinic_id integer NOT NULL,
    id uuid NOT NULL,
    slot_id bigint NOT NULL,
    doctor_id uuid NOT NULL,
    patient_id uuid NOT NULL,
    doctor_role text NOT NULL DEFAULT 'doctor',
    patient_role text NOT NULL DEFAULT 'patient',
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    status text NOT NULL DEFAULT 'scheduled',
    idempotency_key text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz,
    cancelled_at timestamptz,
    cancel_reason text,
    CONSTRAINT pk_consultations PRIMARY KEY (clinic_id, id),
    CONSTRAINT fk_consultations_slot
        FOREIGN KEY (clinic_id, slot_id) REFERENCES availability_slots (clinic_id, id),
    CONSTRAINT fk_consultations_doctor
        FOREIGN KEY (clinic_id, doctor_id, doctor_role) REFERENCES users (clinic_id, id, role),
    CONSTRAINT fk_consultations_patient
        FOREIGN KEY (clinic_id, patient_id, patient_role) REFERENCES users (clinic_id, id, role),
    CONSTRAINT uq_consultations_idempotency_key UNIQUE (clinic_id, patient_id, idempotency_key),
    CONSTRAINT uq_consultations_prescribable UNIQUE (clinic_id, id, doctor_id, patient_id, status),
    CONSTRAINT ck_consultations_status CHECK (status IN ('scheduled', 'completed', 'cancelled')),
    CONSTRAINT ck_consultations_roles CHECK (doctor_role = 'doctor' AND patient_role = 'patient'),
    CONSTRAINT ck_consultations_marks_of_status CHECK (
        (status = 'completed') = (completed_at IS NOT NULL)
        AND (status = 'cancelled') = (cancelled_at IS NOT NULL)
        AND (cancel_reason IS NULL OR status = 'cancelled')
    ),
    CONSTRAINT ex_consultations_patient_overlap EXCLUDE USING gist
        (clinic_id WITH =, patient_id WITH =, tstzrange(starts_at, ends_at) WITH &&) WHERE (status = 'scheduled')
);
CREATE UNIQUE INDEX uq_consultations_slot_id_live ON consultations (clinic_id, slot_id) WHERE status <> 'cancelled';
CREATE INDEX ix_consultations_clinic_id_patient_id_starts_at_id
    ON consultations (clinic_id, patient_id, starts_at, id);
CREATE INDEX ix_consultations_clinic_id_doctor_id_starts_at_id
    ON consultations (clinic_id, doctor_id, starts_at, id);
CREATE INDEX ix_consultations_clinic_id_starts_at_id ON consultations (clinic_id, starts_at, id);

-- scheduled is the only state that can be left, and only the marks of a state can be set when it is.
CREATE FUNCTION refuse_change_of_consultation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE'
        AND OLD.status = 'scheduled'
        AND (OLD.clinic_id, OLD.id, OLD.slot_id, OLD.doctor_id, OLD.patient_id, OLD.starts_at, OLD.ends_at,
             OLD.idempotency_key, OLD.created_at)
          = (NEW.clinic_id, NEW.id, NEW.slot_id, NEW.doctor_id, NEW.patient_id, NEW.starts_at, NEW.ends_at,
             NEW.idempotency_key, NEW.created_at)
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a consultation is never deleted, and never changed once it is completed or cancelled'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'tr_consultations_final', TABLE = 'consultations';
END
$$;
CREATE TRIGGER tr_consultations_final BEFORE UPDATE OR DELETE ON consultations
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_consultation();
CREATE TRIGGER tr_consultations_kept BEFORE TRUNCATE ON consultations
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_consultation();

GRANT SELECT, INSERT ON consultations TO {app_role};
GRANT UPDATE (status, completed_at, cancelled_at, cancel_reason) ON consultations TO {app_role};
"""

DOWNGRADE = """
DROP TABLE consultations;
DROP FUNCTION refuse_change_of_consultation;
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
