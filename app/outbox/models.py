"""Table `outbox`."""

from sqlalchemy import Column, Index, Integer, Table, func, text

from app.db.schema import Instant, Text, Uuid, clinic_id, metadata

outbox = Table(
    "outbox",
    metadata,
    clinic_id(),
    Column("id", Uuid, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("entity_id", Text, nullable=False),
    # The partition key must be part of every unique key of a partitioned table.
    Column("created_at", Instant, primary_key=True, server_default=func.now()),
    Column("published_at", Instant),
    # From when on somebody may try to deliver it, and how often that was begun; null for what nobody delivers.
    Column("due_at", Instant),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Index(
        "ix_outbox_clinic_id_created_at_unpublished",
        "clinic_id",
        "created_at",
        postgresql_where=text("published_at IS NULL"),
    ),
    Index(
        "ix_outbox_due_at_unpublished",
        "due_at",
        postgresql_where=text("published_at IS NULL AND due_at IS NOT NULL"),
    ),
    postgresql_partition_by="RANGE (created_at)",
)
