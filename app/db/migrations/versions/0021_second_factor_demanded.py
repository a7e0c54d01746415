"""Of which roles a clinic demands a second factor."""

from app.db.migrations.steps import run

revision = "0021_second_factor_demanded"
down_revision = "0020_row_level_security"
branch_labels = None
depends_on = None

UPGRADE = """
ALTER TABLE clinics ADD COLUMN second_factor_roles text[] NOT NULL DEFAULT '{}';
ALTER TABLE clinics ADD CONSTRAINT ck_clinics_second_factor_roles
    CHECK (second_factor_roles <@ ARRAY['admin', 'doctor']);
GRANT UPDATE (second_factor_roles) ON clinics TO {app_role};
"""

DOWNGRADE = """
ALTER TABLE clinics DROP COLUMN second_factor_roles;
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
