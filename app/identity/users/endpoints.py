"""`/auth/register`, `/users/` and `/doctors/`."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request

from app.http.depends import Db, RequestId
from app.http.fields import RecordId
from app.http.paging import Page, scroll
from app.http.problems import refusals
from app.identity.depends import LinkKey, PasswordHasher
from app.identity.guard import Caller, GuardedRoute, public, requires
from app.identity.passwords import PasswordTooWeak
from app.identity.rules import Permission
from app.identity.users import schemas, service
from app.identity.users.errors import EmailTaken, UserHasHistory
from app.kit.errors import InvalidCursor, NotFound

router = APIRouter(route_class=GuardedRoute)


@router.post(
    "/auth/register",
    status_code=201,
    response_model=schemas.User,
    tags=["Authentication"],
    responses=refusals(EmailTaken, PasswordTooWeak, NotFound),
)
@public
async def register(
    body: schemas.Registration, db: Db, passwords: PasswordHasher, link_key: LinkKey, request_id: RequestId
) -> Any:
    """Register as a patient.

    The role is always `patient`; an admin makes the other accounts. A mail brings a link that confirms the e-mail;
    logging in does not wait for it.
    """
    new_user = service.NewUser(email=body.email, password=body.password, full_name=body.full_name)
    return await service.register(
        db, passwords, clinic=body.clinic, new_user=new_user, link_key=link_key, request_id=request_id
    )


@router.get("/users/me", response_model=schemas.User, tags=["Users"])
@requires(Permission.KEEP_OWN_ACCOUNT, enrolling=True)
async def read_own_account(caller: Caller, db: Db) -> Any:
    """Read your own account."""
    return await service.get_own_account(db, caller)


@router.patch("/users/me", response_model=schemas.User, tags=["Users"])
@requires(Permission.KEEP_OWN_ACCOUNT)
async def change_own_account(body: schemas.OwnChanges, caller: Caller, db: Db, request_id: RequestId) -> Any:
    """Change your name or time zone."""
    changes = body.model_dump(exclude_unset=True)
    return await service.change_user(db, user_id=caller.user_id, changes=changes, actor=caller, request_id=request_id)


@router.post(
    "/users/",
    status_code=201,
    response_model=schemas.User,
    tags=["Users"],
    responses=refusals(EmailTaken, PasswordTooWeak),
)
@requires(Permission.MANAGE_USERS)
async def create_user(
    body: schemas.NewUser, caller: Caller, db: Db, passwords: PasswordHasher, request_id: RequestId
) -> Any:
    """Create a user of any role."""
    return await service.create_user(
        db,
        passwords,
        clinic_id=caller.clinic_id,
        new_user=service.NewUser(**body.model_dump()),
        actor_id=caller.user_id,
        actor_role=caller.role,
        request_id=request_id,
    )


@router.get("/users/", response_model=Page[schemas.User], tags=["Users"], responses=refusals(InvalidCursor))
@requires(Permission.MANAGE_USERS)
async def list_users(
    query: Annotated[schemas.UserQuery, Query()], request: Request, caller: Caller, db: Db, request_id: RequestId
) -> Any:
    """List the clinic's users, oldest first. Leaves a row in the audit log for each person on the page."""
    here = scroll(request, query, name="users", caller=caller.user_id, parts=1)
    rows = await service.show_users(
        db,
        filters={"role": query.role, "is_active": query.is_active, "email": query.email},
        after=UUID(here.position[0]) if here.position else None,
        limit=here.rows_wanted,
        actor=caller,
        request_id=request_id,
    )
    return here.page(rows, lambda user: [user.id])


@router.patch("/users/{id}", response_model=schemas.User, tags=["Users"], responses=refusals(UserHasHistory))
@requires(Permission.MANAGE_USERS)
async def change_user(id: RecordId, body: schemas.UserChanges, caller: Caller, db: Db, request_id: RequestId) -> Any:
    """Change a user's role, name or specialty, or (de)activate the account.

    In force everywhere within a second: tokens that were issued under another role, or to somebody who is no longer
    active, are refused.
    """
    changes = body.model_dump(exclude_unset=True)
    return await service.change_user(db, user_id=id, changes=changes, actor=caller, request_id=request_id)


@router.get("/doctors/", response_model=Page[schemas.Doctor], tags=["Doctors"], responses=refusals(InvalidCursor))
@requires(Permission.FIND_DOCTORS)
async def list_doctors(query: Annotated[schemas.DoctorQuery, Query()], request: Request, caller: Caller, db: Db) -> Any:
    """Find active doctors by specialty and part of the name."""
    here = scroll(request, query, name="doctors", caller=caller.user_id, parts=2)
    rows = await service.find_doctors(
        db,
        clinic_id=caller.clinic_id,
        specialty=query.specialty,
        name_part=query.q,
        after=(here.position[0], UUID(here.position[1])) if here.position else None,
        limit=here.rows_wanted,
    )
    return here.page(rows, lambda doctor: [doctor.full_name, doctor.id])


@router.get("/doctors/{id}", response_model=schemas.Doctor, tags=["Doctors"])
@requires(Permission.FIND_DOCTORS)
async def read_doctor(id: RecordId, caller: Caller, db: Db) -> Any:
    """Read one active doctor."""
    return await service.get_doctor(db, clinic_id=caller.clinic_id, doctor_id=id)
