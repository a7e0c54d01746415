"""Wrong passwords, by account and network, which make the next ones wait."""

from app.db.migrations.steps import run

revision = "0018_login_attempts"
down_revision = "0017_rate_counts"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE login_attempts (
    clinic_id integer NOT NULL,
    bucket bytea NOT NULL,
    kind text NOT NULL,
    failures integer NOT NULL DEFAULT 0,
    failed_at timestamptz NOT NULL DEFAULT now(),
    known_until timestamptz,
    expires_at timestamptz NOT NULL,
    CONSTRAINT pk_login_attempts PRIMARY KEY (clinic_id, bucket),
    CONSTRAINT ck_login_attempts_kind CHECK (kind IN ('pair', 'account', 'network'))
);
CREATE INDEX ix_login_attempts_expires_at ON login_attempts (expires_at);

GRANT SELECT, INSERT, DELETE ON login_attempts TO {app_role};
GRANT UPDATE (failures, failed_at, known_until, expires_at) ON login_attempts TO {app_role};
"""

DOWNGRADE = """
DROP TABLE login_attempts;
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
