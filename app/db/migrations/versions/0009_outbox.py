"""Events for the world outside, written with what they tell."""

from app.db.migrations.steps import run

revision = "0009_outbox"
down_revision = "0008_audit_logs"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE outbox (
    clinic_id integer NOT NULL,
    id uuid NOT NULL,
    topic text NOT NULL,
    entity_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz,
    CONSTRAINT pk_outbox PRIMARY KEY (clinic_id, id)
);
CREATE INDEX ix_outbox_clinic_id_created_at_unpublished ON outbox (clinic_id, created_at) WHERE published_at IS NULL;

GRANT SELECT, INSERT, DELETE ON outbox TO {app_role};
GRANT UPDATE (published_at) ON outbox TO {app_role};
"""

DOWNGRADE = """
DROP TABLE outbox;
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
