"""Asking for links, using them, and writing the mails that bring them."""

import asyncio
from uuid import UUID

from app.db.database import Database
from app.identity.attempts.service import Attempts
from app.identity.links import rules, sql
from app.identity.links.errors import LinkNotGood
from app.identity.links.rules import Purpose
from app.identity.passwords import Passwords, check_strength
from app.identity.tokens import LinkToken
from app.identity.users import sql as users_sql
from app.identity.users.rules import normalized_email
from app.kit.ids import uuid7
from app.mail.rules import Mail
from app.observability import logs
from app.outbox.sql import DueEvent

# Thirty times what it takes to make a link (3 ms with its COMMIT): answers leave on the beat, so that nobody measures
# whether one was made.
BEAT_S = 0.1

_log = logs.logger("links")


async def ask_reset(db: Database, *, key: bytes, clinic: str, email: str, request_id: str) -> None:
    """A mail will bring a link to who has this account, if there is one; nobody learns whether there is."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await db.one(
        sql.ASK_RESET,
        clinic=clinic,
        email_normalized=normalized_email(email),
        **rules.draft(key, Purpose.RESET_PASSWORD).values,
        event_id=uuid7(),
        audit_id=uuid7(),
        actor_id=None,
        actor_role=None,
        request_id=request_id,
    )
    await asyncio.sleep((began - loop.time()) % BEAT_S)


async def reset_password(
    db: Database, passwords: Passwords, attempts: Attempts, token: LinkToken, *, new_password: str, request_id: str
) -> None:
    """A new password; all sessions end. Raises `LinkNotGood`, `PasswordTooWeak`: then the link is good as before."""
    owner = await db.one(sql.OWNER_OF_RESET, clinic_id=token.clinic_id, token_hash=token.hash)
    check_strength(new_password, email=owner.email if owner else "")
    if owner is None:
        # Before the password is hashed: nobody makes us work with a guess.
        raise LinkNotGood
    new_password_hash = await passwords.hash(new_password)
    async with db.transaction() as session:
        # Behind the logins that are under way: the statement that ends sessions must begin after them.
        await session.one(users_sql.LOCK_USER, clinic_id=token.clinic_id, user_id=owner.user_id)
        changed = await session.one(
            sql.RESET,
            clinic_id=token.clinic_id,
            token_hash=token.hash,
            new_password_hash=new_password_hash,
            audit_id=uuid7(),
            request_id=request_id,
        )
    if changed is None:
        # Somebody else used it, or changed the password, in between.
        raise LinkNotGood
    await attempts.welcome(clinic_id=token.clinic_id, email=owner.email)


async def confirm_email(db: Database, token: LinkToken, *, request_id: str) -> None:
    """The e-mail is its owner's. Raises `LinkNotGood`."""
    confirmed = await db.one(
        sql.CONFIRM, clinic_id=token.clinic_id, token_hash=token.hash, audit_id=uuid7(), request_id=request_id
    )
    if confirmed is None:
        raise LinkNotGood


async def write_letter(db: Database, event: DueEvent, *, key: bytes, public_url: str) -> Mail | None:
    """The mail that the event asks for, or `None` if its link is good no more."""
    link_id = UUID(event.entity_id)
    link = await db.one(sql.TO_MAIL, clinic_id=event.clinic_id, link_id=link_id)
    if link is None:
        return None
    purpose = Purpose(link.purpose)
    token = LinkToken(event.clinic_id, rules.secret_of(key, purpose, link_id=link_id, nonce=link.nonce))
    if token.hash != link.token_hash:
        # It would open nothing: the key is another one than when the link was made.
        _log.warning("link was made with another key", event_id=str(event.id))
        return None
    return rules.letter(purpose, token, to=link.email, clinic=link.clinic, public_url=public_url)
