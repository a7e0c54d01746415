"""Table `recovery_codes`."""

from sqlalchemy import Column, ForeignKeyConstraint, LargeBinary, Table

from app.db.schema import PERSONAL, Instant, Uuid, clinic_id, metadata

recovery_codes = Table(
    "recovery_codes",
    metadata,
    clinic_id(),
    Column("user_id", Uuid, primary_key=True),
    # SHA-256 of 80 random bits.
    Column("code_hash", LargeBinary, primary_key=True),
    Column("used_at", Instant),
    ForeignKeyConstraint(["clinic_id", "user_id"], ["users.clinic_id", "users.id"]),
    info={PERSONAL: True},
)
