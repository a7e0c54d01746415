"""Table `totp_secrets`."""

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

from app.db.schema import PERSONAL, Instant, Uuid, clinic_id, metadata

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
    info={PERSONAL: True},
)

# How many seconds ago a wrong code was tried.
FAILED_AGO_S: ColumnElement[float] = cast(func.extract("epoch", func.now() - totp_secrets.c.failed_at), Float)
