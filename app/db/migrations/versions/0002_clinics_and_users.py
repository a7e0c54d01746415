"""Clinics, and the people in them."""

from app.db.migrations.steps import run

revision = "0002_clinics_and_users"
down_revision = "0001_role_of_the_application"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE clinics (
    clinic_id integer NOT NULL,
    slug text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_clinics PRIMARY KEY (clinic_id),
    CONSTRAINT uq_clinics_slug UNIQUE (slug)
);
INSERT INTO clinics (clinic_id, slug) VALUES (1, 'main');

CREATE TABLE users (
    clinic_id integer NOT NULL,
    id uuid NOT NULL,
    email text NOT NULL,
    email_normalized text NOT NULL,
    password_hash text NOT NULL,
    full_name text NOT NULL,
    role text NOT NULL,
    specialty text,
    is_active boolean NOT NULL DEFAULT true,
    time_zone text NOT NULL DEFAULT 'UTC',
    token_version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_users PRIMARY KEY (clinic_id, id),
    CONSTRAINT fk_users_clinic_id_clinics FOREIGN KEY (clinic_id) REFERENCES clinics (clinic_id),
    CONSTRAINT uq_users_clinic_id_email_normalized UNIQUE (clinic_id, email_normalized),
    CONSTRAINT uq_users_clinic_id_id_role UNIQUE (clinic_id, id, role),
    CONSTRAINT ck_users_role CHECK (role IN ('admin', 'doctor', 'patient')),
    CONSTRAINT ck_users_specialty_of_doctor CHECK (specialty IS NULL OR role = 'doctor')
);
CREATE INDEX ix_users_clinic_id_full_name_id_doctor ON users (clinic_id, full_name, id)
    WHERE role = 'doctor' AND is_active;

GRANT SELECT, INSERT ON clinics, users TO {app_role};
GRANT UPDATE (password_hash, full_name, role, specialty, is_active, time_zone, token_version) ON users TO {app_role};
"""

DOWNGRADE = """
DROP TABLE users;
DROP TABLE clinics;
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
