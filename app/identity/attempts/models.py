"""Table `login_attempts`."""

from sqlalchemy import CheckConstraint, Column, Index, Integer, LargeBinary, Table, func, text

from app.db.schema import Instant, Text, clinic_id, metadata

login_attempts = Table(
    "login_attempts",
    metadata,
    # 0 where nobody knows the clinic.
    clinic_id(),
    # A keyed hash of an e-mail, a network, or both.
    Column("bucket", LargeBinary, primary_key=True),
    Column("kind", Text, nullable=False),
    # Wrong passwords, and those that are being checked at this moment.
    Column("failures", Integer, nullable=False, server_default=text("0")),
    Column("failed_at", Instant, nullable=False, server_default=func.now()),
    # Of a pair: until then it is where the account's owner is.
    Column("known_until", Instant),
    Column("expires_at", Instant, nullable=False),
    CheckConstraint("kind IN ('pair', 'account', 'network')", name="kind"),
    Index("ix_login_attempts_expires_at", "expires_at"),
)
