"""Row-level security: PostgreSQL knows on whose behalf a statement runs, and shows and takes no other rows.

The owner, who migrates and whose foreign keys look, is not subject to it; the application's role is.
"""

from app.db.migrations.policies import ACTORS, IN_CLINIC, IS_STRANGER, IS_SYSTEM, ROLE
from app.db.migrations.steps import run

revision = "0020_row_level_security"
down_revision = "0019_booking_limits"
branch_labels = None
depends_on = None

UPGRADE = f"""
ALTER TABLE consultations ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON consultations FOR SELECT USING (
    {IS_SYSTEM}
    OR ({IN_CLINIC} AND (patient_id = ANY ({ACTORS}) OR doctor_id = ANY ({ACTORS}) OR {ROLE} = 'admin')));
CREATE POLICY booked ON consultations FOR INSERT WITH CHECK (
    {IS_SYSTEM} OR ({IN_CLINIC} AND {ROLE} = 'patient' AND patient_id = ANY ({ACTORS})));
CREATE POLICY changed ON consultations FOR UPDATE USING (
    {IS_SYSTEM}
    OR ({IN_CLINIC} AND (patient_id = ANY ({ACTORS}) OR doctor_id = ANY ({ACTORS}) OR {ROLE} = 'admin')))
    WITH CHECK (
    {IS_SYSTEM} OR CASE status WHEN 'completed' THEN doctor_id = ANY ({ACTORS}) AND {ROLE} = 'doctor' ELSE true END);

ALTER TABLE prescriptions ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON prescriptions FOR SELECT USING (
    {IS_SYSTEM} OR ({IN_CLINIC} AND (patient_id = ANY ({ACTORS}) OR doctor_id = ANY ({ACTORS}))));
CREATE POLICY issued ON prescriptions FOR INSERT WITH CHECK (
    {IS_SYSTEM} OR ({IN_CLINIC} AND {ROLE} = 'doctor' AND doctor_id = ANY ({ACTORS})));

-- Everybody sees slots; a booking and a cancellation change their status on a patient's behalf.
ALTER TABLE availability_slots ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON availability_slots FOR SELECT USING (true);
CREATE POLICY offered ON availability_slots FOR INSERT WITH CHECK (
    {IS_SYSTEM} OR ({IN_CLINIC} AND {ROLE} = 'doctor' AND doctor_id = ANY ({ACTORS})));
CREATE POLICY changed ON availability_slots FOR UPDATE
    USING ({IS_SYSTEM} OR ({IN_CLINIC} AND ({ROLE} IN ('patient', 'admin') OR doctor_id = ANY ({ACTORS}))))
    WITH CHECK ({IS_SYSTEM} OR {ROLE} <> 'patient' OR status <> 'withdrawn');

-- What everybody may know of doctors; a view looks with its owner's eyes.
CREATE VIEW doctors AS SELECT clinic_id, id, full_name, specialty, is_active FROM users WHERE role = 'doctor';
GRANT SELECT ON doctors TO {{app_role}};

-- Who is no admin sees and changes themselves, and never their role. Who logs in, or has forgotten a password, is
-- looked up and locked before anybody knows who it is.
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON users FOR SELECT USING (
    {IS_SYSTEM} OR {IS_STRANGER}
    OR ({IN_CLINIC} AND (id = ANY ({ACTORS}) OR {ROLE} = 'admin')));
CREATE POLICY made ON users FOR INSERT WITH CHECK (
    {IS_SYSTEM} OR ({IS_STRANGER} AND role = 'patient') OR ({IN_CLINIC} AND {ROLE} = 'admin'));
CREATE POLICY changed ON users FOR UPDATE
    USING ({IS_SYSTEM} OR {IS_STRANGER} OR ({IN_CLINIC} AND (id = ANY ({ACTORS}) OR {ROLE} = 'admin')))
    WITH CHECK ({IS_SYSTEM} OR {IS_STRANGER} OR {ROLE} = 'admin' OR role = {ROLE});

ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON idempotency_keys USING ({IS_SYSTEM} OR ({IN_CLINIC} AND user_id = ANY ({ACTORS})));

ALTER TABLE audit_logs ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON audit_logs FOR SELECT USING ({IS_SYSTEM} OR ({IN_CLINIC} AND {ROLE} = 'admin'));
CREATE POLICY added ON audit_logs FOR INSERT WITH CHECK (true);
"""  # noqa: S608 - constants of this page

DOWNGRADE = """
DROP POLICY seen ON consultations;
DROP POLICY booked ON consultations;
DROP POLICY changed ON consultations;
ALTER TABLE consultations DISABLE ROW LEVEL SECURITY;
DROP POLICY seen ON prescriptions;
DROP POLICY issued ON prescriptions;
ALTER TABLE prescriptions DISABLE ROW LEVEL SECURITY;
DROP POLICY seen ON availability_slots;
DROP POLICY offered ON availability_slots;
DROP POLICY changed ON availability_slots;
ALTER TABLE availability_slots DISABLE ROW LEVEL SECURITY;
DROP VIEW doctors;
DROP POLICY seen ON users;
DROP POLICY made ON users;
DROP POLICY changed ON users;
ALTER TABLE users DISABLE ROW LEVEL SECURITY;
DROP POLICY own ON idempotency_keys;
ALTER TABLE idempotency_keys DISABLE ROW LEVEL SECURITY;
DROP POLICY seen ON audit_logs;
DROP POLICY added ON audit_logs;
ALTER TABLE audit_logs DISABLE ROW LEVEL SECURITY;
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
