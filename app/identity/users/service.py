"""Registering, creating, changing and finding people; making clinics."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from app.db.database import Database
from app.db.errors import ConstraintViolation
from app.db.statement import Statement
from app.identity.links import rules as links
from app.identity.passwords import Passwords, check_strength
from app.identity.rules import DOCTOR, PATIENT, Principal
from app.identity.trail import trace
from app.identity.users import sql
from app.identity.users.errors import EmailTaken, UserHasHistory
from app.identity.users.rules import User, has_trigram, normalized_email
from app.identity.users.sql import Doctor
from app.kit.errors import FieldError, Invalid, NotFound, Unauthenticated
from app.kit.ids import uuid7, uuids7


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    """What is known of somebody who gets an account."""

    email: str
    password: str
    full_name: str
    role: str = PATIENT
    specialty: str | None = None


async def register(
    db: Database, passwords: Passwords, *, clinic: str, new_user: NewUser, link_key: bytes, request_id: str
) -> User:
    """A new patient of the clinic with this slug; a mail asks to confirm the e-mail.

    Raises `NotFound`, `EmailTaken`, `PasswordTooWeak`.
    """
    assert new_user.role == PATIENT, "nobody makes themselves more than a patient"
    values = await _columns(passwords, new_user)
    user = await _insert(
        db,
        sql.REGISTER,
        clinic=clinic,
        request_id=request_id,
        event_id=uuid7(),
        **links.draft(link_key, links.Purpose.CONFIRM_EMAIL).values,
        **values,
    )
    if user is None:
        raise NotFound("There is no such clinic.")
    return user


async def create_user(
    db: Database,
    passwords: Passwords,
    *,
    clinic_id: int,
    new_user: NewUser,
    actor_id: UUID | None,
    actor_role: str | None,
    request_id: str,
) -> User:
    """A new user of any role. Raises `EmailTaken`, `PasswordTooWeak`, `Invalid` for a specialty of a non-doctor."""
    if new_user.specialty is not None and new_user.role != DOCTOR:
        raise Invalid(FieldError("body.specialty", "only a doctor has a specialty"))
    values = await _columns(passwords, new_user)
    user = await _insert(
        db,
        sql.CREATE,
        clinic_id=clinic_id,
        actor_id=actor_id,
        actor_role=actor_role,
        request_id=request_id,
        **values,
    )
    if user is None:
        raise NotFound("There is no such clinic.")
    return user


async def change_user(
    db: Database, *, user_id: UUID, changes: Mapping[str, object], actor: Principal, request_id: str
) -> User:
    """The user with the given fields changed. Raises `NotFound`, `UserHasHistory`, `Invalid`."""
    try:
        changed = await db.one(
            sql.change_user(frozenset(changes)),
            clinic_id=actor.clinic_id,
            id=user_id,
            actor_id=actor.user_id,
            actor_role=actor.role,
            audit_id=uuid7(),
            request_id=request_id,
            details={"fields": sorted(changes)},
            **{f"new_{name}": value for name, value in changes.items()},
        )
    except ConstraintViolation as violation:
        if violation.constraint in ("fk_consultations_doctor", "fk_consultations_patient"):
            raise UserHasHistory from violation
        if violation.constraint == "ck_users_specialty_of_doctor":
            raise Invalid(FieldError("body.specialty", "only a doctor has a specialty")) from violation
        raise
    if changed is None:
        raise NotFound
    return changed


async def get_own_account(db: Database, principal: Principal) -> User:
    """The caller's account. Raises `Unauthenticated` if it is gone."""
    user = await db.one(sql.USER, clinic_id=principal.clinic_id, id=principal.user_id)
    if user is None:
        raise Unauthenticated
    return user


async def find_users(
    db: Database, *, clinic_id: int, filters: Mapping[str, object], after: UUID | None, limit: int
) -> list[User]:
    """The clinic's users that match, oldest first, after the one with id `after`: for a command of the owner's."""
    given, values = _searched(filters, after)
    return await db.many(sql.users_of_clinic(given), clinic_id=clinic_id, rows=limit, **values)


async def show_users(
    db: Database,
    *,
    filters: Mapping[str, object],
    after: UUID | None,
    limit: int,
    actor: Principal,
    request_id: str,
) -> list[User]:
    """As `find_users`, for an admin; audit rows tell whose accounts were seen."""
    given, values = _searched(filters, after)
    # Names only: an e-mail is personal.
    asked = sorted(name for name, value in filters.items() if value is not None)
    return await db.many(
        sql.users_shown(given),
        clinic_id=actor.clinic_id,
        rows=limit,
        actor_id=actor.user_id,
        actor_role=actor.role,
        audit_ids=uuids7(limit),
        request_id=request_id,
        details={"filters": asked},
        **values,
    )


def _searched(filters: Mapping[str, object], after: UUID | None) -> tuple[frozenset[str], dict[str, object]]:
    values = {name: value for name, value in {**filters, "after_id": after}.items() if value is not None}
    if "email" in values:
        values["email"] = normalized_email(str(values["email"]))
    given = frozenset(values) - {"is_active"}
    if "is_active" in values:
        given |= {"active" if values.pop("is_active") else "inactive"}
    return given, values


async def find_doctors(
    db: Database,
    *,
    clinic_id: int,
    specialty: str | None,
    name_part: str | None,
    after: tuple[str, UUID] | None,
    limit: int,
) -> list[Doctor]:
    """The clinic's active doctors that match, by name, after the one at `after`."""
    values: dict[str, object] = {}
    if specialty is not None:
        values["specialty"] = specialty
    if name_part is not None and not has_trigram(name_part):
        values["short_q"] = name_part
    elif name_part is not None:
        values["q"] = name_part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    given = frozenset(values)
    if after is not None:
        given |= {"after_name"}
        values.update(after_name=after[0], after_id=after[1])
    return await db.many(sql.active_doctors(given), clinic_id=clinic_id, rows=limit, **values)


async def get_doctor(db: Database, *, clinic_id: int, doctor_id: UUID) -> Doctor:
    """An active doctor. Raises `NotFound`."""
    doctor = await db.one(sql.ACTIVE_DOCTOR, clinic_id=clinic_id, id=doctor_id)
    if doctor is None:
        raise NotFound
    return doctor


async def create_clinic(db: Database, *, slug: str) -> int | None:
    """The number of the new clinic; `None` if the slug is taken."""
    try:
        return await db.one(sql.CREATE_CLINIC, slug=slug)
    except ConstraintViolation as violation:
        if violation.constraint == "uq_clinics_slug":
            return None
        raise


async def demand_second_factor(db: Database, *, clinic_id: int, roles: Collection[str], request_id: str) -> int:
    """The clinic demands a second factor of these roles from now on; how many of them have none yet.

    Their sessions go on, within a second for nothing but setting one up.
    """
    async with db.transaction() as session:
        await session.one(sql.LOCK_CLINIC, clinic_id=clinic_id)
        count = await session.one(
            sql.DEMAND_SECOND_FACTOR, clinic_id=clinic_id, roles=sorted(roles), **trace(None, request_id)
        )
    return count or 0


async def limit_bookings(
    db: Database, *, clinic_id: int, ahead_max: int | None, a_day_max: int | None, request_id: str
) -> None:
    """What a patient of this clinic may have ahead, and book in a day; `None`: as everywhere, 0: without a limit."""
    await db.one(
        sql.LIMIT_BOOKINGS,
        clinic_id=clinic_id,
        bookings_ahead_max=ahead_max,
        bookings_a_day_max=a_day_max,
        **trace(None, request_id),
    )


async def find_clinic(db: Database, *, slug: str) -> int | None:
    """The number of the clinic with this slug."""
    return await db.one(sql.CLINIC_ID, slug=slug)


async def _columns(passwords: Passwords, new_user: NewUser) -> dict[str, object]:
    check_strength(new_user.password, email=new_user.email)
    return {
        "id": uuid7(),
        "email": new_user.email,
        "email_normalized": normalized_email(new_user.email),
        "password_hash": await passwords.hash(new_user.password),
        "full_name": new_user.full_name,
        "role": new_user.role,
        "specialty": new_user.specialty,
        "audit_id": uuid7(),
    }


async def _insert(db: Database, statement: Statement[User], **values: object) -> User | None:
    try:
        return await db.one(statement, **values)
    except ConstraintViolation as violation:
        if violation.constraint == "uq_users_clinic_id_email_normalized":
            raise EmailTaken from violation
        raise
