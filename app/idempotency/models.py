"""Table `idempotency_keys`."""

from sqlalchemy import Column, Index, LargeBinary, Table, func, text
from sqlalchemy.dialects.postgresql import JSONB

from app.db.schema import PERSONAL, Instant, Text, Uuid, clinic_id, metadata

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    clinic_id(),
    Column("user_id", Uuid, primary_key=True),
    Column("operation", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    # What cannot be read from the record that the key made: a refusal, or the answer itself.
    Column("outcome", JSONB),
    # The keys that may expire: those that a record keeps. Refused ones stay, and are not in the way here.
    Index("ix_idempotency_keys_created_at_recorded", "created_at", postgresql_where=text("outcome IS NULL")),
    info={PERSONAL: True},
)
