"""Table `audit_logs`."""

from sqlalchemy import CheckConstraint, Column, Index, PrimaryKeyConstraint, Table, func, text
from sqlalchemy.dialects.postgresql import JSONB

from app.db.schema import Instant, Text, Uuid, clinic_id, metadata

audit_logs = Table(
    "audit_logs",
    metadata,
    clinic_id(),
    Column("id", Uuid, primary_key=True),
    Column("occurred_at", Instant, primary_key=True, server_default=func.now()),
    Column("actor_id", Uuid),
    Column("actor_role", Text),
    Column("action", Text, nullable=False),
    Column("entity_type", Text, nullable=False),
    Column("entity_id", Text),
    Column("outcome", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("details", JSONB, nullable=False, server_default="{}"),
    # Whose record it is, if somebody else acted: null in all that people do with their own.
    Column("subject_id", Uuid),
    # A unique key of a partitioned table must hold the partition key; in this order it also lists the rows.
    PrimaryKeyConstraint("clinic_id", "occurred_at", "id"),
    CheckConstraint("outcome IN ('success', 'denied', 'failure')", name="outcome"),
    Index(None, "clinic_id", "action", "occurred_at", "id"),
    Index(None, "clinic_id", "entity_type", "occurred_at", "id"),
    Index(None, "clinic_id", "entity_id", "occurred_at"),
    Index(None, "clinic_id", "actor_id", "occurred_at"),
    Index(None, "clinic_id", "subject_id", "occurred_at", "id", postgresql_where=text("subject_id IS NOT NULL")),
    postgresql_partition_by="RANGE (occurred_at)",
)
