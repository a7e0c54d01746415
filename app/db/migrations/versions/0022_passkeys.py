"""Passkeys (WebAuthn) and the challenges that they answer; recovery codes stand for any second factor."""

from app.db.migrations.steps import run

revision = "0022_passkeys"
down_revision = "0021_second_factor_demanded"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE passkeys (
    clinic_id integer NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    credential_id bytea NOT NULL,
    public_key bytea NOT NULL,
    sign_count bigint NOT NULL,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    CONSTRAINT pk_passkeys PRIMARY KEY (clinic_id, id),
    CONSTRAINT uq_passkeys_clinic_id_credential_id UNIQUE (clinic_id, credential_id),
    CONSTRAINT fk_passkeys_clinic_id_user_id_users FOREIGN KEY (clinic_id, user_id) REFERENCES users (clinic_id, id)
);
CREATE INDEX ix_passkeys_clinic_id_user_id_id ON passkeys (clinic_id, user_id, id);

CREATE TABLE passkey_challenges (
    clinic_id integer NOT NULL,
    challenge bytea NOT NULL,
    user_id uuid NOT NULL,
    session_id uuid,
    password_digest bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    spent_at timestamptz,
    CONSTRAINT pk_passkey_challenges PRIMARY KEY (clinic_id, challenge),
    CONSTRAINT fk_passkey_challenges_clinic_id_user_id_users
        FOREIGN KEY (clinic_id, user_id) REFERENCES users (clinic_id, id),
    CONSTRAINT ck_passkey_challenges_purpose CHECK ((session_id IS NULL) <> (password_digest IS NULL))
);
CREATE INDEX ix_passkey_challenges_clinic_id_user_id ON passkey_challenges (clinic_id, user_id);

GRANT SELECT, INSERT, DELETE ON passkeys, passkey_challenges TO {app_role};
GRANT UPDATE (sign_count, last_used_at) ON passkeys TO {app_role};
GRANT UPDATE (spent_at) ON passkey_challenges TO {app_role};

ALTER TABLE recovery_codes DROP CONSTRAINT fk_recovery_codes_clinic_id_user_id_totp_secrets;
ALTER TABLE recovery_codes ADD CONSTRAINT fk_recovery_codes_clinic_id_user_id_users
    FOREIGN KEY (clinic_id, user_id) REFERENCES users (clinic_id, id);
GRANT DELETE ON recovery_codes TO {app_role};
"""

DOWNGRADE = """
REVOKE DELETE ON recovery_codes FROM {app_role};
ALTER TABLE recovery_codes DROP CONSTRAINT fk_recovery_codes_clinic_id_user_id_users;
DELETE FROM recovery_codes WHERE (clinic_id, user_id) NOT IN (SELECT clinic_id, user_id FROM totp_secrets);
ALTER TABLE recovery_codes ADD CONSTRAINT fk_recovery_codes_clinic_id_user_id_totp_secrets
    FOREIGN KEY (clinic_id, user_id) REFERENCES totp_secrets (clinic_id, user_id) ON DELETE CASCADE;
DROP TABLE passkey_challenges;
DROP TABLE passkeys;
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
