"""Accounts: made, found, changed."""

from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Boolean,
    ColumnElement,
    Integer,
    Select,
    all_,
    and_,
    any_,
    bindparam,
    case,
    cast,
    column,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.audit.clauses import record, record_page, shown_of
from app.db.schema import Text, Uuid
from app.db.statement import Statement, compiled, constant
from app.identity.links.clauses import ask_to_confirm
from app.identity.mfa.clauses import has_factor
from app.identity.revocations.clauses import end_sessions, revoke_sessions, void_older_tokens
from app.identity.sessions.models import sessions
from app.identity.users.models import clinics, doctors, users
from app.identity.users.rules import User

PUBLIC = [users.c[name] for name in User.__dataclass_fields__]
_CLINIC = users.c.clinic_id == bindparam("clinic_id")
_OF_CLINIC = clinics.c.clinic_id == bindparam("clinic_id")
_ONE = _CLINIC & (users.c.id == bindparam("id", type_=Uuid))


def _first(value: UUID) -> UUID:
    return value


@dataclass(slots=True)
class Doctor:
    """A doctor as everybody in the clinic sees them."""

    id: UUID
    full_name: str
    specialty: str | None


def _create(name: str, action: str, *, by_slug: bool) -> Statement[User]:
    """A new user of the clinic; registering people name the clinic by its slug, act themselves, and get a mail."""
    of_clinic = clinics.c.slug == bindparam("clinic") if by_slug else _OF_CLINIC
    names = ("id", "email", "email_normalized", "password_hash", "full_name", "role", "specialty")
    row = select(clinics.c.clinic_id, *(bindparam(column, type_=users.c[column].type) for column in names)).where(
        of_clinic
    )
    created = (
        insert(users).from_select(["clinic_id", *names], row).returning(users.c.clinic_id, *PUBLIC).cte("created_user")
    )
    actor: dict[str, Any] = {"actor_id": created.c.id, "actor_role": created.c.role} if by_slug else {}
    audit = record(
        created,
        action=action,
        entity_type="user",
        entity_id=created.c.id,
        clinic_id=created.c.clinic_id,
        subject_id=created.c.id,
        details=func.jsonb_build_object(constant("role"), created.c.role),
        **actor,
    )
    told = ask_to_confirm(created) if by_slug else ()
    query = select(*(created.c[column] for column in User.__dataclass_fields__)).add_cte(audit, *told)
    return compiled(name, query, User, is_write=True)


REGISTER = _create("register_user", "user.registered", by_slug=True)
CREATE = _create("create_user", "user.created", by_slug=False)

USER = compiled("user", select(*PUBLIC).where(_ONE), User)

# A statement sees what was committed before it began: the one that ends sessions must begin after their logins.
LOCK_USER = compiled(
    "lock_user",
    select(users.c.id).where(_CLINIC, users.c.id == bindparam("user_id", type_=Uuid)).with_for_update(key_share=True),
    _first,
    is_write=True,
)

# Many may log in at once; who changes the account waits for them, and they for whoever does.
SHARE_USER = compiled(
    "share_user",
    select(users.c.id).where(_CLINIC, users.c.id == bindparam("user_id", type_=Uuid)).with_for_update(read=True),
    _first,
    is_write=True,
)

_NEW_FIELDS: dict[str, Any] = {
    "full_name": Text(),
    "time_zone": Text(),
    "role": Text(),
    "is_active": Boolean(),
    "specialty": Text(),
}


@cache
def change_user(given: frozenset[str]) -> Statement[User]:
    """Sets the given fields. A new role or a deactivation voids the tokens that are out, everywhere within a second."""
    found = select(users.c.clinic_id, users.c.id, users.c.role, users.c.is_active).where(_ONE)
    if "role" in given:
        # A clinic that begins to demand a second factor looks whom it concerns: nobody becomes a doctor meanwhile.
        clinic = select(clinics.c.clinic_id).where(_OF_CLINIC).with_for_update(read=True).cte("clinic")
        found = found.where(users.c.clinic_id == clinic.c.clinic_id)
    before = found.with_for_update(of=users).cte("before")
    values: dict[str, ColumnElement[Any]] = {
        name: bindparam(f"new_{name}", type_=kind) for name, kind in _NEW_FIELDS.items() if name in given
    }
    if "role" in given and "specialty" not in given:
        # Only doctors have a specialty.
        values["specialty"] = case((values["role"] == constant("doctor"), users.c.specialty), else_=None)
    voids = or_(
        values["role"] != before.c.role if "role" in given else literal(False),
        and_(before.c.is_active, ~values["is_active"]) if "is_active" in given else literal(False),
    )
    changed = (
        update(users)
        .where(users.c.clinic_id == before.c.clinic_id, users.c.id == before.c.id)
        .values(**values, token_version=users.c.token_version + cast(voids, Integer))
        .returning(users.c.clinic_id, users.c.token_version, *PUBLIC, voids.label("voids_tokens"))
        .cte("changed_user")
    )
    ended = end_sessions(
        and_(
            sessions.c.clinic_id == changed.c.clinic_id,
            sessions.c.user_id == changed.c.id,
            ~changed.c.is_active,
        ),
        reason="deactivated",
    )
    audit = record(
        changed,
        action="user.updated",
        entity_type="user",
        entity_id=changed.c.id,
        clinic_id=changed.c.clinic_id,
        subject_id=changed.c.id,
        details=bindparam("details", type_=JSONB),
    )
    query = select(*(changed.c[column] for column in User.__dataclass_fields__)).add_cte(
        ended, revoke_sessions(ended), void_older_tokens(changed, changed.c.voids_tokens), audit
    )
    return compiled("change_user", query, User, is_write=True)


_USER_FILTERS = {
    "role": users.c.role == bindparam("role", type_=Text),
    "active": users.c.is_active,
    "inactive": ~users.c.is_active,
    "email": users.c.email_normalized == bindparam("email", type_=Text),
    "after_id": users.c.id > bindparam("after_id", type_=Uuid),
}


@cache
def users_of_clinic(given: frozenset[str]) -> Statement[User]:
    """The clinic's users that match the given filters, oldest first."""
    return compiled("users_of_clinic", _users(given), User)


@cache
def users_shown(given: frozenset[str]) -> Statement[User]:
    """The same for somebody who is told them: leaves an audit row for each other person on the page."""
    page = _users(given).cte("page")
    shown = shown_of(page, [page.c.id])
    audit = record_page(shown, action="user.listed", entity_type="user", subject="id", is_search=True)
    query = select(*(page.c[column] for column in User.__dataclass_fields__)).order_by(page.c.id)
    return compiled("users_shown", query.add_cte(audit), User, is_write=True)


def _users(given: frozenset[str]) -> Select[Any]:
    return (
        select(*PUBLIC)
        .where(_CLINIC, *(_USER_FILTERS[name] for name in sorted(given)))
        .order_by(users.c.id)
        .limit(bindparam("rows"))
    )


_WORKS_HERE = and_(doctors.c.clinic_id == bindparam("clinic_id"), doctors.c.is_active)
_DOCTOR_COLUMNS = [doctors.c.id, doctors.c.full_name, doctors.c.specialty]
_DOCTOR_FILTERS = {
    "specialty": func.lower(doctors.c.specialty) == func.lower(bindparam("specialty", type_=Text)),
    # As the index of trigrams has it …
    "q": func.lower(doctors.c.full_name).contains(func.lower(bindparam("q", type_=Text)), escape="\\"),
    # … and for a text without a trigram the same, but not for that index, which would be read to its end.
    "short_q": func.strpos(func.lower(doctors.c.full_name), func.lower(bindparam("short_q", type_=Text))) > 0,
    "after_name": tuple_(doctors.c.full_name, doctors.c.id)
    > tuple_(bindparam("after_name", type_=Text), bindparam("after_id", type_=Uuid)),
}


@cache
def active_doctors(given: frozenset[str]) -> Statement[Doctor]:
    """The clinic's active doctors that match the given filters, by name."""
    query = (
        select(*_DOCTOR_COLUMNS)
        .where(_WORKS_HERE, *(_DOCTOR_FILTERS[name] for name in sorted(given)))
        .order_by(doctors.c.full_name, doctors.c.id)
        .limit(bindparam("rows"))
    )
    return compiled("active_doctors", query, Doctor)


ACTIVE_DOCTOR = compiled(
    "active_doctor",
    select(*_DOCTOR_COLUMNS).where(_WORKS_HERE, doctors.c.id == bindparam("id", type_=Uuid)),
    Doctor,
    # One by number; the search for doctors tells nobody and pays nothing.
    is_personal=True,
)

CREATE_CLINIC = compiled(
    "create_clinic",
    insert(clinics)
    .from_select(
        ["clinic_id", "slug"],
        select(
            func.coalesce(func.max(clinics.c.clinic_id), 0) + 1,
            cast(bindparam("slug", type_=Text), Text),
        ),
    )
    .returning(clinics.c.clinic_id),
    int,
    is_write=True,
)

# A transaction's first statement: what follows sees all who were made doctors before, and nobody is made one meanwhile.
LOCK_CLINIC = compiled(
    "lock_clinic", select(clinics.c.clinic_id).where(_OF_CLINIC).with_for_update(), int, is_write=True
)


def _demand_second_factor() -> Statement[int]:
    """The clinic demands a second factor of these roles; how many have none, whose tokens are void from now on."""
    before = select(clinics.c.clinic_id, clinics.c.second_factor_roles).where(_OF_CLINIC).cte("before")
    roles = bindparam("roles", type_=ARRAY(Text))
    demanding = (
        update(clinics)
        .where(_OF_CLINIC)
        .values(second_factor_roles=roles)
        .returning(clinics.c.clinic_id, clinics.c.second_factor_roles)
        .cte("demanding_clinic")
    )
    # Of whom it was demanded before, the tokens are good for nothing but enrolling already.
    newly = (
        select(func.unnest(roles).column_valued("role"))
        .where(column("role") != all_(before.c.second_factor_roles))
        .cte("newly_asked")
    )
    # A limit, although it is none, has the index of roles read in its order, and no table of a million patients.
    asked = (
        select(users.c.id)
        .where(_CLINIC, users.c.role == newly.c.role)
        .order_by(users.c.role, users.c.id)
        .limit(bindparam("no_limit", None, type_=Integer))
        .lateral("asked")
    )
    ids = func.array(select(asked.c.id).select_from(newly.join(asked, true())).scalar_subquery())
    lacking = (
        update(users)
        .where(_CLINIC, users.c.id == any_(ids), ~has_factor(users))
        .values(token_version=users.c.token_version + 1)
        .returning(users.c.clinic_id, users.c.id, users.c.token_version)
        .cte("lacking_user")
    )
    audit = record(
        demanding,
        action="clinic.second_factor_demanded",
        entity_type="clinic",
        entity_id=demanding.c.clinic_id,
        clinic_id=demanding.c.clinic_id,
        details=func.jsonb_build_object(constant("roles"), demanding.c.second_factor_roles),
    )
    query = select(func.count()).select_from(lacking).add_cte(void_older_tokens(lacking, true()), audit)
    return compiled("demand_second_factor", query, int, is_write=True)


DEMAND_SECOND_FACTOR = _demand_second_factor()


def _limit_bookings() -> Statement[int]:
    """The clinic's own limits, or none of its own."""
    limits = ("bookings_ahead_max", "bookings_a_day_max")
    limited = (
        update(clinics)
        .where(_OF_CLINIC)
        .values({name: bindparam(name, type_=Integer) for name in limits})
        .returning(clinics.c.clinic_id, *(clinics.c[name] for name in limits))
        .cte("limited_clinic")
    )
    told = (part for name in limits for part in (constant(name), limited.c[name]))
    audit = record(
        limited,
        action="clinic.bookings_limited",
        entity_type="clinic",
        entity_id=limited.c.clinic_id,
        clinic_id=limited.c.clinic_id,
        details=func.jsonb_build_object(*told),
    )
    return compiled("limit_bookings", select(limited.c.clinic_id).add_cte(audit), int, is_write=True)


LIMIT_BOOKINGS = _limit_bookings()

CLINIC_ID = compiled("clinic_id", select(clinics.c.clinic_id).where(clinics.c.slug == bindparam("slug")), int)
