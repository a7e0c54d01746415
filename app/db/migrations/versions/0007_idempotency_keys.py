"""Idempotency keys: what was asked under a key, and what was answered."""

from app.db.migrations.steps import run

revision = "0007_idempotency_keys"
down_revision = "0006_prescriptions"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE idempotency_keys (
    clinic_id integer NOT NULL,
    user_id uuid NOT NULL,
    operation text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    outcome jsonb,
    CONSTRAINT pk_idempotency_keys PRIMARY KEY (clinic_id, user_id, operation, key)
);
CREATE INDEX ix_idempotency_keys_created_at ON idempotency_keys (created_at);

GRANT SELECT, INSERT, DELETE ON idempotency_keys TO {app_role};
GRANT UPDATE (outcome) ON idempotency_keys TO {app_role};
"""

DOWNGRADE = """
DROP TABLE idempotency_keys;
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
