"""Sessions, their refresh tokens, and the list of what was revoked."""

from app.db.migrations.steps import run

revision = "0003_sessions"
down_revision = "0002_clinics_and_users"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE sessions (
    clinic_id integer NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    end_reason text,
    CONSTRAINT pk_sessions PRIMARY KEY (clinic_id, id),
    CONSTRAINT fk_sessions_clinic_id_user_id_users FOREIGN KEY (clinic_id, user_id) REFERENCES users (clinic_id, id)
);
CREATE INDEX ix_sessions_clinic_id_user_id_live ON sessions (clinic_id, user_id) WHERE ended_at IS NULL;

CREATE TABLE refresh_tokens (
    clinic_id integer NOT NULL,
    token_hash bytea NOT NULL,
    session_id uuid NOT NULL,
    issued_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    CONSTRAINT pk_refresh_tokens PRIMARY KEY (clinic_id, token_hash),
    CONSTRAINT fk_refresh_tokens_clinic_id_session_id_sessions
        FOREIGN KEY (clinic_id, session_id) REFERENCES sessions (clinic_id, id)
);

CREATE TABLE revocations (
    clinic_id integer NOT NULL,
    id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    session_id uuid,
    user_id uuid,
    token_version integer,
    CONSTRAINT pk_revocations PRIMARY KEY (clinic_id, id),
    CONSTRAINT ck_revocations_subject CHECK (
        (session_id IS NULL) <> (user_id IS NULL) AND (user_id IS NULL) = (token_version IS NULL)
    )
);
CREATE INDEX ix_revocations_created_at ON revocations (created_at);

GRANT SELECT, INSERT, DELETE ON sessions, refresh_tokens, revocations TO {app_role};
GRANT UPDATE (ended_at, end_reason) ON sessions TO {app_role};
GRANT UPDATE (used_at) ON refresh_tokens TO {app_role};
"""

DOWNGRADE = """
DROP TABLE revocations;
DROP TABLE refresh_tokens;
DROP TABLE sessions;
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
