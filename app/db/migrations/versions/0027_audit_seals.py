"""Seals of the audit log: signed Merkle roots over its rows, one chain for each clinic."""

from app.db.migrations.steps import run

revision = "0027_audit_seals"
down_revision = "0026_links_by_mail"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE audit_seals (
    clinic_id integer NOT NULL,
    number integer NOT NULL,
    rows integer NOT NULL,
    first_at timestamptz NOT NULL,
    first_id uuid NOT NULL,
    last_at timestamptz NOT NULL,
    last_id uuid NOT NULL,
    root bytea NOT NULL,
    previous bytea NOT NULL,
    sealed_at timestamptz NOT NULL,
    dropped_before timestamptz,
    key_id text NOT NULL,
    signature bytea NOT NULL,
    CONSTRAINT pk_audit_seals PRIMARY KEY (clinic_id, number),
    CONSTRAINT ck_audit_seals_counts CHECK (number >= 1 AND rows >= 0)
);

CREATE FUNCTION refuse_change_of_audit_seal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'seals of the audit log are append-only'
        USING ERRCODE = 'insufficient_privilege', TABLE = 'audit_seals';
END
$$;
CREATE TRIGGER tr_audit_seals_append_only BEFORE UPDATE OR DELETE ON audit_seals
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_audit_seal();
CREATE TRIGGER tr_audit_seals_kept BEFORE TRUNCATE ON audit_seals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit_seal();

-- Only jobs and commands seal and look: no request has anything to do with it.
ALTER TABLE audit_seals ENABLE ROW LEVEL SECURITY;
CREATE POLICY jobs ON audit_seals USING ((SELECT current_setting('telemed.role', true)) = 'system');
GRANT SELECT, INSERT ON audit_seals TO {app_role};
"""

DOWNGRADE = """
DROP TABLE audit_seals;
DROP FUNCTION refuse_change_of_audit_seal;
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
