"""Indexes with which every list reads about what it answers, whatever its filters and however large the clinic.

Builds them in one transaction, in which nobody writes to these tables: a second or two for each million rows.
"""

from app.db.migrations.steps import run

revision = "0015_indexes_of_searches"
down_revision = "0014_expiry_of_sessions"
branch_labels = None
depends_on = None

UPGRADE = """
-- A search for open slots is answered from the index alone; one for booked slots had none.
DROP INDEX ix_availability_slots_clinic_id_starts_at_id_open;
CREATE INDEX ix_availability_slots_clinic_id_starts_at_id_open ON availability_slots (clinic_id, starts_at, id)
    INCLUDE (doctor_id, ends_at) WHERE status = 'open';
CREATE INDEX ix_availability_slots_clinic_id_starts_at_id_booked ON availability_slots (clinic_id, starts_at, id)
    WHERE status = 'booked';

-- By time alone, the newest completed consultation comes after every scheduled one.
DROP INDEX ix_consultations_clinic_id_starts_at_id;
CREATE INDEX ix_consultations_clinic_id_status_starts_at_id ON consultations (clinic_id, status, starts_at, id);

-- One index for two purposes: what consultations refer to, and the people of a role by age of account.
ALTER TABLE consultations DROP CONSTRAINT fk_consultations_doctor, DROP CONSTRAINT fk_consultations_patient;
ALTER TABLE users DROP CONSTRAINT uq_users_clinic_id_id_role,
    ADD CONSTRAINT uq_users_clinic_id_role_id UNIQUE (clinic_id, role, id);
ALTER TABLE consultations
    ADD CONSTRAINT fk_consultations_doctor
        FOREIGN KEY (clinic_id, doctor_id, doctor_role) REFERENCES users (clinic_id, id, role),
    ADD CONSTRAINT fk_consultations_patient
        FOREIGN KEY (clinic_id, patient_id, patient_role) REFERENCES users (clinic_id, id, role);
CREATE INDEX ix_users_clinic_id_id_inactive ON users (clinic_id, id) WHERE NOT is_active;

CREATE INDEX ix_users_clinic_id_specialty_full_name_id_doctor ON users (clinic_id, lower(specialty), full_name, id)
    WHERE role = 'doctor' AND is_active;
-- GiST, because GIN without btree_gin cannot begin with the clinic: a common name would be looked up in all clinics.
CREATE INDEX ix_users_clinic_id_name_parts_doctor ON users
    USING gist (clinic_id, lower(full_name) gist_trgm_ops (siglen='64')) WHERE role = 'doctor' AND is_active;

-- The key in the order of the list is the list's index as well.
ALTER TABLE audit_logs DROP CONSTRAINT pk_audit_logs;
ALTER TABLE audit_logs ADD CONSTRAINT pk_audit_logs PRIMARY KEY (clinic_id, occurred_at, id);
DROP INDEX ix_audit_logs_clinic_id_occurred_at_id;
CREATE INDEX ix_audit_logs_clinic_id_action_occurred_at_id ON audit_logs (clinic_id, action, occurred_at, id);
CREATE INDEX ix_audit_logs_clinic_id_entity_type_occurred_at_id
    ON audit_logs (clinic_id, entity_type, occurred_at, id);
"""

DOWNGRADE = """
DROP INDEX ix_audit_logs_clinic_id_entity_type_occurred_at_id;
DROP INDEX ix_audit_logs_clinic_id_action_occurred_at_id;
CREATE INDEX ix_audit_logs_clinic_id_occurred_at_id ON audit_logs (clinic_id, occurred_at, id);
ALTER TABLE audit_logs DROP CONSTRAINT pk_audit_logs;
ALTER TABLE audit_logs ADD CONSTRAINT pk_audit_logs PRIMARY KEY (clinic_id, id, occurred_at);

DROP INDEX ix_users_clinic_id_name_parts_doctor;
DROP INDEX ix_users_clinic_id_specialty_full_name_id_doctor;
DROP INDEX ix_users_clinic_id_id_inactive;
ALTER TABLE consultations DROP CONSTRAINT fk_consultations_doctor, DROP CONSTRAINT fk_consultations_patient;
ALTER TABLE users DROP CONSTRAINT uq_users_clinic_id_role_id,
    ADD CONSTRAINT uq_users_clinic_id_id_role UNIQUE (clinic_id, id, role);
ALTER TABLE consultations
    ADD CONSTRAINT fk_consultations_doctor
        FOREIGN KEY (clinic_id, doctor_id, doctor_role) REFERENCES users (clinic_id, id, role),
    ADD CONSTRAINT fk_consultations_patient
        FOREIGN KEY (clinic_id, patient_id, patient_role) REFERENCES users (clinic_id, id, role);

DROP INDEX ix_consultations_clinic_id_status_starts_at_id;
CREATE INDEX ix_consultations_clinic_id_starts_at_id ON consultations (clinic_id, starts_at, id);

DROP INDEX ix_availability_slots_clinic_id_starts_at_id_booked;
DROP INDEX ix_availability_slots_clinic_id_starts_at_id_open;
CREATE INDEX ix_availability_slots_clinic_id_starts_at_id_open ON availability_slots (clinic_id, starts_at, id)
    WHERE status = 'open';
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
