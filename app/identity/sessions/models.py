"""Tables `sessions` and `refresh_tokens`."""

from sqlalchemy import Column, ForeignKeyConstraint, Index, LargeBinary, Table, func, text

from app.db.schema import PERSONAL, Instant, Text, Uuid, clinic_id, metadata

sessions = Table(
    "sessions",
    metadata,
    clinic_id(),
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    Column("ended_at", Instant),
    Column("end_reason", Text),
    ForeignKeyConstraint(["clinic_id", "user_id"], ["users.clinic_id", "users.id"]),
    Index("ix_sessions_clinic_id_user_id_live", "clinic_id", "user_id", postgresql_where=text("ended_at IS NULL")),
    info={PERSONAL: True},
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    clinic_id(),
    # SHA-256 of the token: a dump of this table lets nobody in.
    Column("token_hash", LargeBinary, primary_key=True),
    Column("session_id", Uuid, nullable=False),
    Column("issued_at", Instant, nullable=False, server_default=func.now()),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    ForeignKeyConstraint(["clinic_id", "session_id"], ["sessions.clinic_id", "sessions.id"]),
    Index("ix_refresh_tokens_expires_at", "expires_at"),
    Index(None, "clinic_id", "session_id"),
)
