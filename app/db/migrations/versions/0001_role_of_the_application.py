"""The role without DDL under which the application works, and the extensions."""

from app.db.migrations.steps import run

revision = "0001_role_of_the_application"
down_revision = None
branch_labels = None
depends_on = None

UPGRADE = """
CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- The application's role may use what it is granted and make nothing. It is shared by all databases of a server, so
-- it may exist already (the embedded server makes it with LOGIN).
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{app_role}') THEN
        CREATE ROLE {app_role} NOLOGIN;
    END IF;
    -- Also for the role's maker: since PostgreSQL 16 making a role does not include the right to act as it.
    EXECUTE format('GRANT {app_role} TO %I', current_user);
EXCEPTION WHEN insufficient_privilege THEN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{app_role}')
        OR NOT pg_has_role(current_user, '{app_role}', 'MEMBER')
    THEN
        RAISE EXCEPTION 'as a superuser, run first: CREATE ROLE {app_role}; GRANT {app_role} TO %', current_user;
    END IF;
END
$$;
GRANT USAGE ON SCHEMA public TO {app_role};
GRANT SELECT ON alembic_version TO {app_role};
"""

DOWNGRADE = """
REVOKE SELECT ON alembic_version FROM {app_role};
REVOKE USAGE ON SCHEMA public FROM {app_role};
DROP EXTENSION pg_trgm;
DROP EXTENSION btree_gist;
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
