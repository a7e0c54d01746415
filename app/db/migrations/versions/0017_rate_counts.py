"""What callers and networks asked for in a minute, added up over all replicas."""

from app.db.migrations.steps import run

revision = "0017_rate_counts"
down_revision = "0016_one_time_codes"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE UNLOGGED TABLE rate_counts (
    clinic_id integer NOT NULL,
    bucket bytea NOT NULL,
    minute bigint NOT NULL,
    requests integer NOT NULL,
    CONSTRAINT pk_rate_counts PRIMARY KEY (clinic_id, bucket, minute)
);
CREATE INDEX ix_rate_counts_minute ON rate_counts (minute);

GRANT SELECT, INSERT, DELETE ON rate_counts TO {app_role};
GRANT UPDATE (requests) ON rate_counts TO {app_role};
"""

DOWNGRADE = """
DROP TABLE rate_counts;
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
