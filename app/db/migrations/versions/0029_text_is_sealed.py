"""Clinical text is kept as ciphertext. PostgreSQL has no key, so text that is there already stands in the way."""

from app.db.migrations.steps import run

revision = "0029_text_is_sealed"
down_revision = "0028_data_keys"
branch_labels = None
depends_on = None

CHECK = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM prescriptions) OR EXISTS (SELECT FROM break_glass_grants)
        OR EXISTS (SELECT FROM consultations WHERE cancel_reason IS NOT NULL) THEN
        RAISE EXCEPTION 'there is clinical text that was written by a version that kept it otherwise, before the first'
            ' release: begin with an empty database (the embedded one: remove its folder, .telemed)';
    END IF;
END $$;
"""

UPGRADE = f"""
{CHECK}
ALTER TABLE prescriptions
    ALTER COLUMN items TYPE bytea USING convert_to(items::text, 'UTF8'),
    ALTER COLUMN notes TYPE bytea USING convert_to(notes, 'UTF8');
ALTER TABLE consultations ALTER COLUMN cancel_reason TYPE bytea USING convert_to(cancel_reason, 'UTF8');
ALTER TABLE break_glass_grants
    ALTER COLUMN reason TYPE bytea USING convert_to(reason, 'UTF8'),
    ALTER COLUMN review_note TYPE bytea USING convert_to(review_note, 'UTF8');
"""

DOWNGRADE = f"""
{CHECK}
ALTER TABLE prescriptions
    ALTER COLUMN items TYPE jsonb USING convert_from(items, 'UTF8')::jsonb,
    ALTER COLUMN notes TYPE text USING convert_from(notes, 'UTF8');
ALTER TABLE consultations ALTER COLUMN cancel_reason TYPE text USING convert_from(cancel_reason, 'UTF8');
ALTER TABLE break_glass_grants
    ALTER COLUMN reason TYPE text USING convert_from(reason, 'UTF8'),
    ALTER COLUMN review_note TYPE text USING convert_from(review_note, 'UTF8');
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
