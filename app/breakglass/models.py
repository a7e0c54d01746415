"""Table `break_glass_grants`."""

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, LargeBinary, Table, func, text

from app.db.schema import PERSONAL, Instant, Uuid, clinic_id, metadata

break_glass_grants = Table(
    "break_glass_grants",
    metadata,
    clinic_id(),
    Column("id", Uuid, primary_key=True),
    Column("doctor_id", Uuid, nullable=False),
    Column("patient_id", Uuid, nullable=False),
    # Sealed, as the note is, each with a key of its own that `data_keys` has.
    Column("reason", LargeBinary, nullable=False),
    Column("granted_at", Instant, nullable=False, server_default=func.now()),
    # An hour: what an emergency takes, and short enough that nobody works under one grant for a day.
    Column("expires_at", Instant, nullable=False, server_default=text("now() + interval '1 hour'")),
    Column("reviewed_at", Instant),
    Column("reviewed_by", Uuid),
    Column("review_note", LargeBinary),
    ForeignKeyConstraint(
        ["clinic_id", "doctor_id"], ["users.clinic_id", "users.id"], name="fk_break_glass_grants_doctor"
    ),
    ForeignKeyConstraint(
        ["clinic_id", "patient_id"], ["users.clinic_id", "users.id"], name="fk_break_glass_grants_patient"
    ),
    ForeignKeyConstraint(
        ["clinic_id", "reviewed_by"], ["users.clinic_id", "users.id"], name="fk_break_glass_grants_reviewer"
    ),
    CheckConstraint("expires_at > granted_at AND expires_at - granted_at <= interval '1 hour'", name="length"),
    CheckConstraint(
        "(reviewed_at IS NULL) = (reviewed_by IS NULL)"
        " AND (review_note IS NULL OR reviewed_at IS NOT NULL)"
        " AND reviewed_by <> doctor_id",
        name="review",
    ),
    Index("ix_break_glass_grants_in_force", "clinic_id", "doctor_id", "patient_id", "expires_at"),
    Index(
        "ix_break_glass_grants_clinic_id_id_unreviewed",
        "clinic_id",
        "id",
        postgresql_where=text("reviewed_at IS NULL"),
    ),
    Index(
        "ix_break_glass_grants_clinic_id_id_reviewed",
        "clinic_id",
        "id",
        postgresql_where=text("reviewed_at IS NOT NULL"),
    ),
    info={PERSONAL: True},
)
