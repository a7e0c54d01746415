"""Links: asked for, found, used."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import (
    CTE,
    ColumnElement,
    Integer,
    LargeBinary,
    and_,
    bindparam,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import array

from app.audit.clauses import FAILURE, SUCCESS, record
from app.db.schema import Text, Uuid
from app.db.statement import Statement, compiled, constant
from app.identity.links.models import PASSWORD_MARK, links, new_links
from app.identity.links.rules import MADE, RESETS_AN_HOUR, Purpose
from app.identity.revocations.clauses import end_sessions, revoke_sessions
from app.identity.sessions.models import sessions
from app.identity.users.models import clinics, users
from app.outbox.clauses import announce


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose good link it is."""

    user_id: UUID
    email: str


@dataclass(frozen=True, slots=True)
class ToMail:
    """What a mail with the link is made of."""

    purpose: str
    nonce: bytes
    token_hash: bytes
    email: str
    clinic: str


_CLINIC_ID = bindparam("clinic_id", type_=Integer)
_HASH = bindparam("token_hash", type_=LargeBinary)
_HOUR_AGO = func.now() - timedelta(hours=1)


def _first(value: UUID) -> UUID:
    return value


def _is_good(purpose: ColumnElement[str]) -> ColumnElement[bool]:
    """Of a link beside its user: unused, in time, and what it was made for is still as it was."""
    return and_(
        links.c.purpose == purpose,
        links.c.used_at.is_(None),
        links.c.expires_at > func.now(),
        users.c.clinic_id == links.c.clinic_id,
        users.c.id == links.c.user_id,
        users.c.is_active,
        or_(links.c.password_mark.is_(None), links.c.password_mark == PASSWORD_MARK),
    )


_PRESENTED = and_(links.c.clinic_id == _CLINIC_ID, links.c.token_hash == _HASH)
_OF_RESET = constant(Purpose.RESET_PASSWORD)


def _ask_reset() -> Statement[UUID]:
    """A fresh link for an active user, unless an hour had its share; for everybody else an audit row alone."""
    asked = (
        select(clinics.c.clinic_id, users.c.id.label("user_id"), users.c.is_active, PASSWORD_MARK.label("mark"))
        .select_from(
            clinics.outerjoin(
                users,
                and_(
                    users.c.clinic_id == clinics.c.clinic_id,
                    users.c.email_normalized == bindparam("email_normalized", type_=Text),
                ),
            )
        )
        .where(clinics.c.slug == bindparam("clinic", type_=Text))
        .cte("asked")
    )
    active = select(asked).where(asked.c.is_active).cte("active_user")
    fresh = new_links(active, user_id=active.c.user_id, purpose=Purpose.RESET_PASSWORD, password_mark=active.c.mark)
    replaced = ("id", "nonce", "token_hash", "password_mark", "expires_at")
    # In one row and under its lock: of a hundred who ask at once, as many get a mail as if they had come in turn.
    link = (
        fresh.on_conflict_do_update(
            constraint="pk_links",
            set_={
                **{name: fresh.excluded[name] for name in replaced},
                "used_at": None,
                "made_at": array([func.now(), *(links.c.made_at[place] for place in range(1, RESETS_AN_HOUR))]),
            },
            where=or_(links.c.made_at[RESETS_AN_HOUR].is_(None), links.c.made_at[RESETS_AN_HOUR] < _HOUR_AGO),
        )
        .returning(links.c.clinic_id, links.c.id, links.c.user_id)
        .cte("link")
    )
    refused = select(asked).where(~exists(select(link.c.id))).cte("refused")
    query = select(link.c.id).add_cte(
        _told(link, "user.password_reset_asked"),
        _told(refused, "user.password_reset_asked", outcome=FAILURE, name="refused_audit"),
        announce(link, topic=MADE, entity_id=link.c.id, clinic_id=link.c.clinic_id, is_delivered=True),
    )
    return compiled("ask_password_reset", query, _first, is_write=True)


def _told(source: CTE, action: str, *, outcome: str = SUCCESS, name: str = "audit") -> CTE:
    return record(
        source,
        action=action,
        entity_type="user",
        entity_id=source.c.user_id,
        clinic_id=source.c.clinic_id,
        outcome=outcome,
        name=name,
    )


ASK_RESET = _ask_reset()

OWNER_OF_RESET = compiled(
    "owner_of_reset_link",
    select(users.c.id.label("user_id"), users.c.email).where(_PRESENTED, _is_good(_OF_RESET)),
    Owner,
)


def _used(purpose: Purpose) -> CTE:
    """The link, which is used up by being found."""
    return (
        update(links)
        .where(_PRESENTED, _is_good(constant(purpose)))
        .values(used_at=func.now())
        .returning(links.c.clinic_id, links.c.user_id)
        .cte("used_link")
    )


def _changed(used: CTE, **values: ColumnElement[str]) -> CTE:
    """Its user, who has proved to read what is sent to the e-mail."""
    return (
        update(users)
        .where(users.c.clinic_id == used.c.clinic_id, users.c.id == used.c.user_id)
        .values(email_confirmed_at=func.coalesce(users.c.email_confirmed_at, func.now()), **values)
        .returning(users.c.clinic_id, users.c.id, users.c.role)
        .cte("changed_user")
    )


def _told_by(user: CTE, action: str) -> CTE:
    return record(
        user,
        action=action,
        entity_type="user",
        entity_id=user.c.id,
        clinic_id=user.c.clinic_id,
        actor_id=user.c.id,
        actor_role=user.c.role,
    )


def _reset() -> Statement[UUID]:
    changed = _changed(_used(Purpose.RESET_PASSWORD), password_hash=bindparam("new_password_hash", type_=Text))
    ended = end_sessions(
        and_(sessions.c.clinic_id == changed.c.clinic_id, sessions.c.user_id == changed.c.id), reason="password_reset"
    )
    query = select(changed.c.id).add_cte(ended, revoke_sessions(ended), _told_by(changed, "user.password_reset"))
    return compiled("reset_password", query, _first, is_write=True)


def _confirm() -> Statement[UUID]:
    confirmed = _changed(_used(Purpose.CONFIRM_EMAIL))
    query = select(confirmed.c.id).add_cte(_told_by(confirmed, "user.email_confirmed"))
    return compiled("confirm_email", query, _first, is_write=True)


RESET = _reset()
CONFIRM = _confirm()

TO_MAIL = compiled(
    "link_to_mail",
    select(links.c.purpose, links.c.nonce, links.c.token_hash, users.c.email, clinics.c.slug.label("clinic")).where(
        links.c.clinic_id == _CLINIC_ID,
        links.c.id == bindparam("link_id", type_=Uuid),
        _is_good(links.c.purpose),
        clinics.c.clinic_id == links.c.clinic_id,
    ),
    ToMail,
)
