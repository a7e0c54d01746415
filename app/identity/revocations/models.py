"""Table `revocations`."""

from sqlalchemy import CheckConstraint, Column, Index, Integer, Table, func

from app.db.schema import Instant, Uuid, clinic_id, metadata

revocations = Table(
    "revocations",
    metadata,
    clinic_id(),
    Column("id", Uuid, primary_key=True),
    Column("created_at", Instant, nullable=False, server_default=func.clock_timestamp()),
    # Either a session that ended …
    Column("session_id", Uuid),
    # … or a user whose older tokens are void.
    Column("user_id", Uuid),
    Column("token_version", Integer),
    CheckConstraint(
        "(session_id IS NULL) <> (user_id IS NULL) AND (user_id IS NULL) = (token_version IS NULL)",
        name="subject",
    ),
    Index("ix_revocations_created_at", "created_at"),
)
