"""Policies ask about the role inside their sub-select, and PostgreSQL expects half of the rows for a yes or no.

Of what a sub-select answers it expected one row in two hundred to be equal to a word: it sorted months of the audit log
instead of reading them in their order. Plans only; who sees what stays the same.
"""

from app.db.migrations.policies import IN_CLINIC, IS_STRANGER, IS_SYSTEM, ROLE
from app.db.migrations.steps import run

revision = "0033_roles_are_yes_or_no"
down_revision = "0032_sessions_are_their_own"
branch_labels = None
depends_on = None


def _rewritten(pattern: str, replacement: str) -> str:
    """All policies, in PostgreSQL's own spelling of them."""
    return f"""
DO $do$
DECLARE
    policy record;
BEGIN
    FOR policy IN
        SELECT tablename, policyname, regexp_replace(qual, $re${pattern}$re$, $re${replacement}$re$, 'g') AS qual
        FROM pg_policies WHERE schemaname = current_schema() AND qual ~ $re${pattern}$re$
    LOOP
        EXECUTE format('ALTER POLICY %I ON %I USING (%s)', policy.policyname, policy.tablename, policy.qual);
    END LOOP;
END
$do$;
"""  # noqa: S608 - constants of this page


DOCTORS = """
CREATE OR REPLACE VIEW doctors AS SELECT clinic_id, id, full_name, specialty, is_active FROM users
WHERE role = 'doctor' AND """
SETTING = r"current_setting\('telemed\.role'::text, true\)"
UPGRADE = _rewritten(
    rf"\( SELECT {SETTING} AS current_setting\) = '(\w+)'::text",
    r"(SELECT current_setting('telemed.role', true) = '\1')",
)
UPGRADE += f"""{DOCTORS}
    ((SELECT coalesce(current_setting('telemed.role', true), '') IN ('', 'system', 'stranger')) OR {IN_CLINIC});
"""
DOWNGRADE = _rewritten(
    rf"\( SELECT \({SETTING} = '(\w+)'::text\)[^)]*\)", r"(SELECT current_setting('telemed.role', true)) = '\1'"
)
DOWNGRADE += f"{DOCTORS} (coalesce({ROLE}, '') = '' OR {IS_SYSTEM} OR {IS_STRANGER} OR {IN_CLINIC});"


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
