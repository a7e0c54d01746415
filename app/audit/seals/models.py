"""Table `audit_seals`."""

from sqlalchemy import CheckConstraint, Column, Integer, LargeBinary, Table

from app.db.schema import PERSONAL, Instant, Text, Uuid, clinic_id, metadata

audit_seals = Table(
    "audit_seals",
    metadata,
    clinic_id(),
    # From 1, without a gap: of two who seal at once, one finds the number taken.
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("rows", Integer, nullable=False),
    Column("first_at", Instant, nullable=False),
    Column("first_id", Uuid, nullable=False),
    Column("last_at", Instant, nullable=False),
    Column("last_id", Uuid, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("previous", LargeBinary, nullable=False),
    Column("sealed_at", Instant, nullable=False),
    Column("dropped_before", Instant),
    Column("key_id", Text, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    CheckConstraint("number >= 1 AND rows >= 0", name="counts"),
    info={PERSONAL: True},
)
