"""Indexes by which expired refresh tokens are found, and sessions that have none left.

Logins and refreshes wait while they are built: about a second for a million tokens.
"""

from app.db.migrations.steps import run

revision = "0014_expiry_of_sessions"
down_revision = "0013_expiry_of_keys"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE INDEX ix_refresh_tokens_expires_at ON refresh_tokens (expires_at);
-- Also for the foreign key: deleting a session asks whether a token refers to it.
CREATE INDEX ix_refresh_tokens_clinic_id_session_id ON refresh_tokens (clinic_id, session_id);
"""

DOWNGRADE = """
DROP INDEX ix_refresh_tokens_clinic_id_session_id;
DROP INDEX ix_refresh_tokens_expires_at;
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
