"""Table `outbox`."""

from sqlalchemy import Column, Index, Table, func, text

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
    Index(
        "ix_outbox_clinic_id_created_at_unpublished",
        "clinic_id",
        "created_at",
        postgresql_where=text("published_at IS NULL"),
    ),
    postgresql_partition_by="RANGE (created_at)",
)
