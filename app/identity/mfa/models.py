"""Tables `totp_secrets` and `recovery_codes`."""

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Float,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    Table,
    cast,
    func,
    text,
)

from app.db.schema import Instant, Uuid, clinic_id, metadata

totp_secrets = Table(
    "totp_secrets",
    metadata,
    clinic_id(),
    Column("user_id", Uuid, primary_key=True),
    # Sealed by the application: whoever reads this table makes no codes.
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    # Until then no login asks for a code.
    Column("confirmed_at", Instant),
    # The newest step that a code was used of: each is good once.
    Column("last_step", BigInteger, nullable=False, server_default=text("0")),
    # Wrong codes since the last right one.
    Column("failures", Integer, nullable=False, server_default=text("0")),
    Column("failed_at", Instant),
    ForeignKeyConstraint(["clinic_id", "user_id"], ["users.clinic_id", "users.id"]),
)

recovery_codes = Table(
    "recovery_codes",
    metadata,
    clinic_id(),
    Column("user_id", Uuid, primary_key=True),
    # SHA-256 of 80 random bits.
    Column("code_hash", LargeBinary, primary_key=True),
    Column("used_at", Instant),
    ForeignKeyConstraint(
        ["clinic_id", "user_id"], ["totp_secrets.clinic_id", "totp_secrets.user_id"], ondelete="CASCADE"
    ),
)

# How many seconds ago a wrong code was tried.
FAILED_AGO_S: ColumnElement[float] = cast(func.extract("epoch", func.now() - totp_secrets.c.failed_at), Float)
