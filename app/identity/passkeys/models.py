"""Tables `passkeys` and `passkey_challenges`."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    ForeignKeyConstraint,
    FromClause,
    Index,
    LargeBinary,
    Table,
    UniqueConstraint,
    exists,
    func,
)

from app.db.schema import PERSONAL, Instant, Text, Uuid, clinic_id, metadata
from app.identity.passkeys.rules import CHALLENGE_LIFETIME

passkeys = Table(
    "passkeys",
    metadata,
    clinic_id(),
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    # What the authenticator calls it.
    Column("credential_id", LargeBinary, nullable=False),
    # In COSE (RFC 9052).
    Column("public_key", LargeBinary, nullable=False),
    # How often it was used, as it said the last time. Passkeys that are synchronised between devices always say 0.
    Column("sign_count", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    Column("last_used_at", Instant),
    UniqueConstraint("clinic_id", "credential_id"),
    ForeignKeyConstraint(["clinic_id", "user_id"], ["users.clinic_id", "users.id"]),
    Index(None, "clinic_id", "user_id", "id"),
    info={PERSONAL: True},
)

passkey_challenges = Table(
    "passkey_challenges",
    metadata,
    clinic_id(),
    # Of a login it is the hash of the ticket that goes with it: a dump of this table logs nobody in.
    Column("challenge", LargeBinary, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    # Either the session that registers a passkey …
    Column("session_id", Uuid),
    # … or SHA-256 of the hash of the password that was right, for a login.
    Column("password_digest", LargeBinary),
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    Column("spent_at", Instant),
    CheckConstraint("(session_id IS NULL) <> (password_digest IS NULL)", name="purpose"),
    ForeignKeyConstraint(["clinic_id", "user_id"], ["users.clinic_id", "users.id"]),
    Index(None, "clinic_id", "user_id"),
    info={PERSONAL: True},
)

# Whether a challenge can still be answered, as far as its age goes.
IS_FRESH: ColumnElement[bool] = passkey_challenges.c.created_at > func.now() - CHALLENGE_LIFETIME


def has_passkey(user: FromClause) -> ColumnElement[bool]:
    """Whether the user has a passkey. `user` has columns `clinic_id` and `id`."""
    is_theirs = exists().where(passkeys.c.clinic_id == user.c.clinic_id, passkeys.c.user_id == user.c.id)
    return is_theirs.correlate(user)
