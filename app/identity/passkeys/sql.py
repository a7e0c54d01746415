"""Passkeys: asked for, added, listed, removed."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Integer,
    LargeBinary,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from app.audit.clauses import FAILURE, record
from app.db.schema import Text, Uuid
from app.db.statement import Statement, compiled, constant
from app.identity.mfa.clauses import has_app, has_factor
from app.identity.passkeys.models import IS_FRESH, passkeys
from app.identity.passkeys.models import passkey_challenges as challenges
from app.identity.passkeys.rules import PASSKEYS_MAX
from app.identity.recovery.clauses import replace_codes, take_codes
from app.identity.revocations.clauses import end_other_sessions
from app.identity.users.models import IS_FACTOR_DEMANDED, clinics, users


@dataclass(frozen=True, slots=True)
class Account:
    """Whose passkeys they are, and what the authenticators call them."""

    email: str
    full_name: str
    password_hash: str
    credential_ids: list[bytes]
    # Whether one has the id that was asked for.
    has_passkey: bool


@dataclass(frozen=True, slots=True)
class AddedPasskey:
    """A passkey that was added; the recovery codes are told with the first factor."""

    id: UUID
    name: str
    created_at: datetime
    last_used_at: datetime | None
    is_first_factor: bool


@dataclass(frozen=True, slots=True)
class Passkey:
    """A passkey as its owner sees it."""

    id: UUID
    name: str
    created_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Answered:
    """The challenge that a ticket stands for, and the passkey that says it answers, if it is that person's."""

    user_id: UUID
    password_digest: bytes
    is_spent: bool
    passkey_id: UUID | None
    public_key: bytes | None
    sign_count: int | None


_CLINIC_ID = bindparam("clinic_id", type_=Integer)
_USER_ID = bindparam("user_id", type_=Uuid)
_PASSKEY_ID = bindparam("passkey_id", type_=Uuid)
_CHALLENGE = bindparam("challenge", type_=LargeBinary)
_CREDENTIAL_ID = bindparam("credential_id", type_=LargeBinary)
_OWNER = and_(users.c.clinic_id == _CLINIC_ID, users.c.id == _USER_ID)
_OWN = and_(passkeys.c.clinic_id == _CLINIC_ID, passkeys.c.user_id == _USER_ID)


def _first(value: UUID) -> UUID:
    return value


def _ids(value: list[bytes]) -> list[bytes]:
    return value


_CREDENTIAL_IDS = func.array(select(passkeys.c.credential_id).where(_OWN).order_by(passkeys.c.id).scalar_subquery())

ACCOUNT = compiled(
    "account_with_passkeys",
    select(
        users.c.email,
        users.c.full_name,
        users.c.password_hash,
        _CREDENTIAL_IDS.label("credential_ids"),
        exists().where(_OWN, passkeys.c.id == _PASSKEY_ID).label("has_passkey"),
    ).where(_OWNER),
    Account,
)


def _forgotten() -> CTE:
    """The user's challenges that are over: whoever asks for the next one clears them away, and nobody else must."""
    is_over = and_(challenges.c.clinic_id == _CLINIC_ID, challenges.c.user_id == _USER_ID, ~IS_FRESH)
    return delete(challenges).where(is_over).cte("forgotten_challenge")


def _ask(
    name: str, action: str, purpose: dict[str, ColumnElement[Any]], *conditions: ColumnElement[bool]
) -> Statement[list[bytes]]:
    """A challenge for the user, for one purpose; answers with the passkeys there are, or nothing where it may not."""
    columns = {
        "clinic_id": users.c.clinic_id,
        "challenge": _CHALLENGE,
        "user_id": users.c.id,
        **purpose,
    }
    challenge = (
        insert(challenges)
        .from_select(
            list(columns),
            select(*(value.label(column) for column, value in columns.items())).where(_OWNER, *conditions),
        )
        .returning(challenges.c.clinic_id, challenges.c.user_id)
        .cte("challenge")
    )
    query = select(_CREDENTIAL_IDS.label("credential_ids")).select_from(challenge)
    return compiled(name, query.add_cte(_forgotten(), _told(challenge, action)), _ids, is_write=True)


def _spent(*conditions: ColumnElement[bool]) -> CTE:
    return (
        update(challenges)
        .where(
            challenges.c.clinic_id == _CLINIC_ID,
            challenges.c.challenge == _CHALLENGE,
            challenges.c.user_id == _USER_ID,
            challenges.c.spent_at.is_(None),
            *conditions,
        )
        .values(spent_at=func.now())
        .returning(challenges.c.clinic_id, challenges.c.user_id)
        .cte("spent_challenge")
    )


def _told(owner: CTE, action: str, details: ColumnElement[Any] | None = None, **more: Any) -> CTE:
    return record(
        owner,
        action=action,
        entity_type="user",
        entity_id=owner.c.user_id,
        clinic_id=owner.c.clinic_id,
        details=details,
        **more,
    )


ASK_TO_REGISTER = _ask(
    "ask_to_register_passkey", "user.passkey_begun", {"session_id": bindparam("session_id", type_=Uuid)}
)
ASK_TO_LOG_IN = _ask(
    "ask_for_passkey",
    "user.login_begun",
    {"password_digest": bindparam("password_digest", type_=LargeBinary)},
    exists().where(_OWN),
)


def _add() -> Statement[AddedPasskey]:
    """The passkey that answered the session's challenge, which is spent; the user's other sessions end."""
    spent = _spent(challenges.c.session_id == bindparam("session_id", type_=Uuid), IS_FRESH)
    count = select(func.count()).select_from(passkeys).where(_OWN).scalar_subquery()
    columns = {
        "clinic_id": spent.c.clinic_id,
        "user_id": spent.c.user_id,
        "id": _PASSKEY_ID,
        "credential_id": _CREDENTIAL_ID,
        "public_key": bindparam("public_key", type_=LargeBinary),
        "sign_count": bindparam("sign_count", type_=BigInteger),
        "name": bindparam("name", type_=Text),
    }
    row = select(*(value.label(column) for column, value in columns.items())).where(count < literal(PASSKEYS_MAX))
    added = insert(passkeys).from_select(list(columns), row).returning(*passkeys.c).cte("added_passkey")
    # As it was before this statement.
    first = (
        select(added.c.clinic_id, added.c.user_id)
        .where(users.c.clinic_id == added.c.clinic_id, users.c.id == added.c.user_id, ~has_factor(users))
        .cte("first_factor")
    )
    details = func.jsonb_build_object(constant("passkey_id"), added.c.id)
    query = select(
        *(added.c[column] for column in Passkey.__dataclass_fields__),
        exists(select(first.c.user_id)).label("is_first_factor"),
    ).add_cte(
        *replace_codes(first),
        _told(added, "user.passkey_added", details),
        *end_other_sessions(added, reason="second_factor_changed"),
    )
    return compiled("add_passkey", query, AddedPasskey, is_write=True)


def _remove() -> Statement[UUID]:
    """The passkey is gone, unless it is the only factor and one is demanded; the user's other sessions end."""
    others = or_(has_app(users), exists().where(_OWN, passkeys.c.id != _PASSKEY_ID))
    owner = (
        select(users.c.clinic_id, users.c.id, others.label("has_others"))
        .where(_OWNER, clinics.c.clinic_id == users.c.clinic_id, or_(~IS_FACTOR_DEMANDED, others))
        .cte("owner")
    )
    gone = (
        delete(passkeys)
        .where(
            passkeys.c.clinic_id == owner.c.clinic_id, passkeys.c.user_id == owner.c.id, passkeys.c.id == _PASSKEY_ID
        )
        .returning(passkeys.c.clinic_id, passkeys.c.user_id, passkeys.c.id)
        .cte("gone_passkey")
    )
    details = func.jsonb_build_object(constant("passkey_id"), gone.c.id)
    query = select(gone.c.id).add_cte(
        take_codes(gone, ~select(owner.c.has_others).scalar_subquery()),
        _told(gone, "user.passkey_removed", details),
        *end_other_sessions(gone, reason="second_factor_changed"),
    )
    return compiled("remove_passkey", query, _first, is_write=True)


def _refuse() -> Statement[UUID]:
    """The challenge was answered in vain, and is spent all the same."""
    owner = select(users.c.clinic_id, users.c.id.label("user_id")).where(_OWNER).cte("owner")
    details = func.jsonb_build_object(constant("reason"), bindparam("reason", type_=Text))
    audit = _told(owner, "user.login_failed", details, outcome=FAILURE)
    return compiled("refuse_passkey", select(owner.c.user_id).add_cte(_spent(), audit), _first, is_write=True)


ADD = _add()
REMOVE = _remove()
REFUSE = _refuse()

ANSWERED = compiled(
    "answered_challenge",
    select(
        challenges.c.user_id,
        challenges.c.password_digest,
        challenges.c.spent_at.is_not(None).label("is_spent"),
        passkeys.c.id.label("passkey_id"),
        passkeys.c.public_key,
        passkeys.c.sign_count,
    )
    .select_from(
        challenges.outerjoin(
            passkeys,
            and_(
                passkeys.c.clinic_id == challenges.c.clinic_id,
                passkeys.c.user_id == challenges.c.user_id,
                passkeys.c.credential_id == _CREDENTIAL_ID,
            ),
        )
    )
    .where(
        challenges.c.clinic_id == _CLINIC_ID,
        challenges.c.challenge == _CHALLENGE,
        challenges.c.password_digest.is_not(None),
        IS_FRESH,
    ),
    Answered,
)

_FILTERS = {"before_id": passkeys.c.id < bindparam("before_id", type_=Uuid)}


@cache
def passkeys_of(given: frozenset[str]) -> Statement[Passkey]:
    """The user's passkeys, newest first: the ids are sorted by time."""
    query = (
        select(*(passkeys.c[column] for column in Passkey.__dataclass_fields__))
        .where(_OWN, *(_FILTERS[name] for name in sorted(given)))
        .order_by(passkeys.c.id.desc())
        .limit(bindparam("rows"))
    )
    return compiled("passkeys_of", query, Passkey)
