"""Keys of clinical text, each wrapped, filed under its patient."""

from app.db.migrations.policies import ACTORS, IN_CLINIC, IS_SYSTEM, ROLE
from app.db.migrations.steps import run

revision = "0028_data_keys"
down_revision = "0027_audit_seals"
branch_labels = None
depends_on = None

IS_NEEDED = f"{IN_CLINIC} AND ({ROLE} IN ('doctor', 'admin') OR patient_id = ANY ({ACTORS}))"

# A wrapped key is of use to nobody who is not shown its text, and that is decided by the table which has it. Only the
# command line changes and removes keys.
UPGRADE = f"""
CREATE TABLE data_keys (
    clinic_id integer NOT NULL,
    record_id uuid NOT NULL,
    part text NOT NULL,
    patient_id uuid NOT NULL,
    wrapped bytea NOT NULL,
    CONSTRAINT pk_data_keys PRIMARY KEY (clinic_id, record_id, part),
    CONSTRAINT ck_data_keys_part CHECK (part IN ('prescription', 'cancellation', 'emergency', 'review'))
);
CREATE INDEX ix_data_keys_clinic_id_patient_id ON data_keys (clinic_id, patient_id);

ALTER TABLE data_keys ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON data_keys FOR SELECT USING ({IS_SYSTEM} OR ({IS_NEEDED}));
CREATE POLICY filed ON data_keys FOR INSERT WITH CHECK ({IS_SYSTEM} OR ({IS_NEEDED}));
CREATE POLICY changed ON data_keys FOR UPDATE USING ({IS_SYSTEM});
CREATE POLICY erased ON data_keys FOR DELETE USING ({IS_SYSTEM});

GRANT SELECT, INSERT, DELETE ON data_keys TO {{app_role}};
GRANT UPDATE (wrapped) ON data_keys TO {{app_role}};
"""

DOWNGRADE = """
DROP TABLE data_keys;
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
