"""Table `links`."""

from typing import Any

from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    Column,
    ColumnElement,
    ForeignKeyConstraint,
    FromClause,
    LargeBinary,
    Table,
    UniqueConstraint,
    bindparam,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import Insert, array
from sqlalchemy.dialects.postgresql import insert as insert_or_update

from app.db.schema import Instant, Text, Uuid, clinic_id, metadata
from app.db.statement import constant
from app.identity.links.rules import LIFETIMES, Purpose
from app.identity.users.models import users

# One row for each user and purpose: the next link takes the place of the one before, which is thereby void.
links = Table(
    "links",
    metadata,
    clinic_id(),
    Column("user_id", Uuid, primary_key=True),
    Column("purpose", Text, primary_key=True),
    # What the event in the outbox names.
    Column("id", Uuid, nullable=False),
    # The token is made of this and of a key that is not in the database (docs/decisions/0020).
    Column("nonce", LargeBinary, nullable=False),
    # SHA-256 of the token's secret.
    Column("token_hash", LargeBinary, nullable=False),
    # What the password was when the link was made: with another one the link is void.
    Column("password_mark", LargeBinary),
    # When this one and those before it were made, newest first: as many as an hour may have.
    Column("made_at", ARRAY(Instant), nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    ForeignKeyConstraint(["clinic_id", "user_id"], ["users.clinic_id", "users.id"]),
    UniqueConstraint("clinic_id", "id"),
    UniqueConstraint("clinic_id", "token_hash"),
    CheckConstraint("purpose IN ('reset_password', 'confirm_email')", name="purpose"),
    CheckConstraint("(purpose = 'reset_password') = (password_mark IS NOT NULL)", name="password_mark"),
)

# Tells one stored password hash from the next, and nothing about either.
PASSWORD_MARK: ColumnElement[bytes] = func.sha256(func.convert_to(users.c.password_hash, constant("UTF8")))


def new_links(
    owners: FromClause,
    *,
    user_id: ColumnElement[Any],
    purpose: Purpose,
    password_mark: ColumnElement[bytes] | None = None,
) -> Insert:
    """A link for each of `owners`, of whom there is one at most. Binds `link_id`, `nonce`, `token_hash`."""
    values: dict[str, ColumnElement[Any]] = {
        "clinic_id": owners.c.clinic_id,
        "user_id": user_id,
        "purpose": constant(purpose),
        "id": bindparam("link_id", type_=Uuid),
        "nonce": bindparam("nonce", type_=LargeBinary),
        "token_hash": bindparam("token_hash", type_=LargeBinary),
        "made_at": array([func.now()]),
        "expires_at": func.now() + LIFETIMES[purpose],
    }
    if password_mark is not None:
        values["password_mark"] = password_mark
    rows = select(*(value.label(name) for name, value in values.items())).select_from(owners)
    return insert_or_update(links).from_select(list(values), rows)
