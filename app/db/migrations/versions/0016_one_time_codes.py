"""The second factor: secrets of authenticator apps, sealed, and recovery codes, hashed."""

from app.db.migrations.steps import run

revision = "0016_one_time_codes"
down_revision = "0015_indexes_of_searches"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE totp_secrets (
    clinic_id integer NOT NULL,
    user_id uuid NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    confirmed_at timestamptz,
    last_step bigint NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0,
    failed_at timestamptz,
    CONSTRAINT pk_totp_secrets PRIMARY KEY (clinic_id, user_id),
    CONSTRAINT fk_totp_secrets_clinic_id_user_id_users
        FOREIGN KEY (clinic_id, user_id) REFERENCES users (clinic_id, id)
);

CREATE TABLE recovery_codes (
    clinic_id integer NOT NULL,
    user_id uuid NOT NULL,
    code_hash bytea NOT NULL,
    used_at timestamptz,
    CONSTRAINT pk_recovery_codes PRIMARY KEY (clinic_id, user_id, code_hash),
    CONSTRAINT fk_recovery_codes_clinic_id_user_id_totp_secrets
        FOREIGN KEY (clinic_id, user_id) REFERENCES totp_secrets (clinic_id, user_id) ON DELETE CASCADE
);

GRANT SELECT, INSERT, DELETE ON totp_secrets TO {app_role};
GRANT UPDATE (sealed, created_at, confirmed_at, last_step, failures, failed_at) ON totp_secrets TO {app_role};
GRANT SELECT, INSERT ON recovery_codes TO {app_role};
GRANT UPDATE (used_at) ON recovery_codes TO {app_role};
"""

DOWNGRADE = """
DROP TABLE recovery_codes;
DROP TABLE totp_secrets;
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
