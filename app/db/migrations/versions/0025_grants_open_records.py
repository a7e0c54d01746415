"""Row-level security of grants, and what a grant and the access log open in other tables."""

from app.db.migrations.policies import ACTORS, IN_CLINIC, IS_SYSTEM, ROLE
from app.db.migrations.steps import run

revision = "0025_grants_open_records"
down_revision = "0024_break_glass_grants"
branch_labels = None
depends_on = None

IS_CONCERNED = f"(patient_id = ANY ({ACTORS}) OR doctor_id = ANY ({ACTORS})"


def _is_open(table: str) -> str:
    """The last reason to see a row: a look into an index, for doctors who have no other."""
    return f"""({ROLE} = 'doctor' AND EXISTS (
        SELECT FROM break_glass_grants AS g
        WHERE g.clinic_id = {table}.clinic_id AND g.patient_id = {table}.patient_id AND g.doctor_id = ANY ({ACTORS})
            AND g.expires_at > now()))"""


UPGRADE = f"""
ALTER TABLE break_glass_grants ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON break_glass_grants FOR SELECT USING (
    {IS_SYSTEM} OR ({IN_CLINIC} AND {IS_CONCERNED} OR {ROLE} = 'admin')));
CREATE POLICY granted ON break_glass_grants FOR INSERT WITH CHECK (
    {IS_SYSTEM} OR ({IN_CLINIC} AND {ROLE} = 'doctor' AND doctor_id = ANY ({ACTORS})));
CREATE POLICY reviewed ON break_glass_grants FOR UPDATE USING (
    {IS_SYSTEM} OR ({IN_CLINIC} AND {ROLE} = 'admin'));

ALTER POLICY seen ON consultations USING (
    {IS_SYSTEM} OR ({IN_CLINIC} AND {IS_CONCERNED} OR {ROLE} = 'admin' OR {_is_open("consultations")})));
ALTER POLICY seen ON prescriptions USING (
    {IS_SYSTEM} OR ({IN_CLINIC} AND {IS_CONCERNED} OR {_is_open("prescriptions")})));

-- Who looked is told to whose record it is.
ALTER POLICY seen ON audit_logs USING (
    {IS_SYSTEM} OR ({IN_CLINIC} AND ({ROLE} = 'admin' OR subject_id = ANY ({ACTORS}))));

CREATE VIEW staff AS SELECT clinic_id, id, full_name FROM users WHERE role IN ('doctor', 'admin');
CREATE VIEW patients AS SELECT clinic_id, id FROM users WHERE role = 'patient';
GRANT SELECT ON staff, patients TO {{app_role}};
"""  # noqa: S608 - constants of this page

DOWNGRADE = f"""
DROP VIEW patients;
DROP VIEW staff;
ALTER POLICY seen ON audit_logs USING ({IS_SYSTEM} OR ({IN_CLINIC} AND {ROLE} = 'admin'));
ALTER POLICY seen ON prescriptions USING ({IS_SYSTEM} OR ({IN_CLINIC} AND {IS_CONCERNED})));
ALTER POLICY seen ON consultations USING ({IS_SYSTEM} OR ({IN_CLINIC} AND {IS_CONCERNED} OR {ROLE} = 'admin')));
DROP POLICY reviewed ON break_glass_grants;
DROP POLICY granted ON break_glass_grants;
DROP POLICY seen ON break_glass_grants;
ALTER TABLE break_glass_grants DISABLE ROW LEVEL SECURITY;
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
