"""Row-level security of sessions and second factors, and of doctors where PostgreSQL is told who asks."""

from app.db.migrations.policies import ACTORS, IN_CLINIC, IS_STRANGER, IS_SYSTEM, ROLE
from app.db.migrations.steps import run

revision = "0032_sessions_are_their_own"
down_revision = "0031_limits_of_a_clinic"
branch_labels = None
depends_on = None

# Who logs in, refreshes or resets a password is a stranger.
IS_OWN = f"{IN_CLINIC} AND user_id = ANY ({ACTORS})"

FACTORS = ("passkeys", "passkey_challenges", "totp_secrets", "recovery_codes")
DOCTORS = "CREATE OR REPLACE VIEW doctors AS SELECT clinic_id, id, full_name, specialty, is_active FROM users"

UPGRADE = "".join(
    f"""
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON {table} USING ({IS_SYSTEM} OR {IS_STRANGER} OR ({IS_OWN}));
"""
    for table in FACTORS
)
UPGRADE += f"""
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
-- An admin who deactivates somebody ends their sessions.
CREATE POLICY seen ON sessions FOR SELECT USING (
    {IS_SYSTEM} OR {IS_STRANGER} OR ({IS_OWN}) OR ({IN_CLINIC} AND {ROLE} = 'admin'));
CREATE POLICY opened ON sessions FOR INSERT WITH CHECK ({IS_SYSTEM} OR {IS_STRANGER});
CREATE POLICY ended ON sessions FOR UPDATE USING (
    {IS_SYSTEM} OR {IS_STRANGER} OR ({IS_OWN}) OR ({IN_CLINIC} AND {ROLE} = 'admin'));
CREATE POLICY forgotten ON sessions FOR DELETE USING ({IS_SYSTEM});

-- Searches tell nobody, and see as before.
{DOCTORS} WHERE role = 'doctor'
    AND (coalesce({ROLE}, '') = '' OR {IS_SYSTEM} OR {IS_STRANGER} OR {IN_CLINIC});
"""

DOWNGRADE = f"""
{DOCTORS} WHERE role = 'doctor';
DROP POLICY forgotten ON sessions;
DROP POLICY ended ON sessions;
DROP POLICY opened ON sessions;
DROP POLICY seen ON sessions;
ALTER TABLE sessions DISABLE ROW LEVEL SECURITY;
"""
DOWNGRADE += "".join(
    f"""
DROP POLICY own ON {table};
ALTER TABLE {table} DISABLE ROW LEVEL SECURITY;
"""
    for table in FACTORS
)


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
