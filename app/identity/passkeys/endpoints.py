"""`/auth/mfa/passkeys`."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request

from app.http.depends import Db, RequestId
from app.http.fields import RecordId
from app.http.paging import Page, PageQuery, scroll
from app.http.problems import refusals
from app.identity.depends import LoginAttempts, RefreshLifetime, Site, TokenIssuer
from app.identity.errors import InvalidCredentials
from app.identity.guard import Caller, GuardedRoute, Pace, public, requires
from app.identity.mfa.errors import LastSecondFactor
from app.identity.passkeys import schemas, service
from app.identity.passkeys.errors import NoPasskey, PasskeyExists, PasskeyInvalid, TooManyPasskeys
from app.identity.rules import Permission
from app.identity.sessions.schemas import Tokens
from app.identity.tokens import LoginTicket
from app.kit import clock
from app.kit.errors import InvalidCursor

router = APIRouter(route_class=GuardedRoute, tags=["Authentication"], prefix="/auth/mfa/passkeys")


@router.post("", response_model=schemas.CreationOptions, responses=refusals(InvalidCredentials))
@requires(Permission.KEEP_OWN_ACCOUNT, pace=Pace.STRICT, enrolling=True)
async def begin_passkey(
    body: schemas.PasskeyProof, caller: Caller, db: Db, attempts: LoginAttempts, site: Site, request_id: RequestId
) -> Any:
    """Begin to register a passkey (WebAuthn).

    Have the browser make one with `navigator.credentials.create()`, then confirm. Until then nothing changes.
    """
    options = await service.begin(db, attempts, caller, site=site, password=body.password, request_id=request_id)
    return schemas.CreationOptions(options=options)


@router.post(
    "/confirm",
    status_code=201,
    response_model=schemas.AddedPasskey,
    responses=refusals(PasskeyInvalid, PasskeyExists, TooManyPasskeys),
)
@requires(Permission.KEEP_OWN_ACCOUNT, pace=Pace.STRICT, enrolling=True)
async def confirm_passkey(
    body: schemas.PasskeyConfirmation, caller: Caller, db: Db, site: Site, request_id: RequestId
) -> Any:
    """Add the passkey. Every login needs a second factor from now on; your other sessions end.

    Where the clinic demands a second factor, refresh the token after this: the present one is good for enrolling only.
    """
    credential = body.credential.model_dump(by_alias=True)
    added, codes = await service.confirm(
        db, caller, site=site, name=body.name, credential=credential, request_id=request_id
    )
    return schemas.AddedPasskey(
        id=added.id,
        name=added.name,
        created_at=added.created_at,
        last_used_at=added.last_used_at,
        recovery_codes=codes,
    )


@router.get("", response_model=Page[schemas.Passkey], responses=refusals(InvalidCursor))
@requires(Permission.KEEP_OWN_ACCOUNT)
async def list_passkeys(query: Annotated[PageQuery, Query()], request: Request, caller: Caller, db: Db) -> Any:
    """See your passkeys, newest first."""
    here = scroll(request, query, name="passkeys", caller=caller.user_id, parts=1)
    before = UUID(here.position[0]) if here.position else None
    rows = await service.find(db, caller, before=before, limit=here.rows_wanted)
    return here.page(rows, lambda passkey: [passkey.id])


@router.delete("/{id}", status_code=204, responses=refusals(InvalidCredentials, LastSecondFactor))
@requires(Permission.KEEP_OWN_ACCOUNT, pace=Pace.STRICT)
async def remove_passkey(
    id: RecordId,
    body: schemas.PasskeyProof,
    caller: Caller,
    db: Db,
    attempts: LoginAttempts,
    request_id: RequestId,
) -> None:
    """Remove a passkey, such as that of a lost device. Your other sessions end.

    Where the clinic demands a second factor, the only one stays.
    """
    await service.remove(db, attempts, caller, passkey_id=id, password=body.password, request_id=request_id)


@router.post("/challenge", response_model=schemas.RequestOptions, responses=refusals(InvalidCredentials, NoPasskey))
@public
async def ask_for_passkey(
    body: schemas.PasskeyLogin, db: Db, attempts: LoginAttempts, site: Site, request_id: RequestId
) -> Any:
    """Begin to log in with a passkey as second factor.

    Have it answer with `navigator.credentials.get()`, then send the answer with the ticket. An unknown e-mail, a wrong
    password and a disabled user get the same answer after the same time.
    """
    ticket, options = await service.ask(
        db,
        attempts,
        site=site,
        clinic=body.clinic,
        email=body.email,
        password=body.password,
        request_id=request_id,
    )
    return schemas.RequestOptions(ticket=str(ticket), options=options)


@router.post("/login", response_model=Tokens, responses=refusals(PasskeyInvalid))
@public
async def log_in_by_passkey(
    body: schemas.PasskeyAnswer,
    db: Db,
    site: Site,
    tokens: TokenIssuer,
    refresh_lifetime: RefreshLifetime,
    request_id: RequestId,
) -> Any:
    """Log in with a passkey's answer to a challenge. A challenge is good for one answer."""
    ticket = LoginTicket.parse(body.ticket)
    if ticket is None:
        raise PasskeyInvalid
    admission = await service.log_in(
        db,
        ticket,
        site=site,
        credential=body.credential.model_dump(by_alias=True),
        refresh_lifetime=refresh_lifetime,
        request_id=request_id,
    )
    return Tokens.issued(tokens, admission.principal, admission.refresh_token, now=clock.now())
