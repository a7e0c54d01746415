"""`/auth/login`, `/auth/token`, `/auth/refresh`, `/auth/logout`, `/auth/sessions` and `/auth/password`."""

from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request

from app.db.database import Database
from app.http.depends import Db, RequestId
from app.http.fields import RecordId
from app.http.paging import Page, PageQuery, scroll
from app.http.problems import refusals
from app.identity.attempts.service import Attempts
from app.identity.depends import LoginAttempts, RefreshKey, TokenIssuer
from app.identity.errors import InvalidCredentials
from app.identity.guard import Caller, GuardedRoute, Pace, public, requires
from app.identity.mfa.errors import OtpInvalid, OtpRequired
from app.identity.passwords import PasswordTooWeak
from app.identity.rules import Permission
from app.identity.sessions import schemas, service
from app.identity.sessions.errors import InvalidToken
from app.identity.tokens import AccessTokens, RefreshToken
from app.kit import clock
from app.kit.errors import InvalidCursor

router = APIRouter(route_class=GuardedRoute, tags=["Authentication"])
_NOT_LET_IN = (InvalidCredentials, OtpRequired, OtpInvalid)


@router.post("/auth/login", response_model=schemas.Tokens, responses=refusals(*_NOT_LET_IN))
@public
async def log_in(
    body: schemas.Login,
    request: Request,
    db: Db,
    attempts: LoginAttempts,
    tokens: TokenIssuer,
    request_id: RequestId,
) -> Any:
    """Log in.

    An unknown e-mail, a wrong password and a disabled user get the same answer after the same time. With the right
    password, an account with a second factor answers `otp_required` until a code comes along; who has a passkey logs
    in by `POST /auth/mfa/passkeys/challenge`.
    """
    return await _log_in(request, db, attempts, tokens, body=body, request_id=request_id)


@router.post("/auth/token", response_model=schemas.Tokens, responses=refusals(*_NOT_LET_IN))
@public
async def log_in_by_form(
    form: Annotated[schemas.PasswordForm, Form()],
    request: Request,
    db: Db,
    attempts: LoginAttempts,
    tokens: TokenIssuer,
    request_id: RequestId,
) -> Any:
    """Log in with the OAuth 2 password form, as Swagger's *Authorize* does."""
    body = schemas.Login(email=form.username, password=form.password, otp=form.otp, clinic=form.clinic)
    return await _log_in(request, db, attempts, tokens, body=body, request_id=request_id)


@router.post("/auth/refresh", response_model=schemas.Tokens, responses=refusals(InvalidToken))
@public
async def refresh(
    body: schemas.RefreshRequest,
    request: Request,
    db: Db,
    tokens: TokenIssuer,
    key: RefreshKey,
    request_id: RequestId,
) -> Any:
    """Trade a refresh token for the next pair.

    A token is good once. Whose answer was lost may repeat within 30 seconds and gets the same successor; any other
    second use ends the session. However often it is refreshed, a session has an end; then log in again.
    """
    token = RefreshToken.parse(body.refresh_token)
    if token is None:
        raise InvalidToken
    admission = await service.refresh(
        db,
        token,
        key=key,
        refresh_lifetime=_refresh_lifetime(request),
        session_lifetime=request.app.state.session_lifetime,
        request_id=request_id,
    )
    return _tokens(tokens, admission)


@router.post("/auth/logout", status_code=204)
@requires(Permission.KEEP_OWN_ACCOUNT, enrolling=True)
async def log_out(body: schemas.RefreshRequest, caller: Caller, db: Db, request_id: RequestId) -> None:
    """Log out.

    Ends the token's session; its access tokens are refused within a second. The answer is the same for any token.
    """
    token = RefreshToken.parse(body.refresh_token)
    await service.log_out(db, caller, token=token, request_id=request_id)


@router.get("/auth/sessions", response_model=Page[schemas.Session], responses=refusals(InvalidCursor))
@requires(Permission.KEEP_OWN_ACCOUNT)
async def list_sessions(query: Annotated[PageQuery, Query()], request: Request, caller: Caller, db: Db) -> Any:
    """See where you are logged in, newest first."""
    here = scroll(request, query, name="sessions", caller=caller.user_id, parts=1)
    before = UUID(here.position[0]) if here.position else None
    rows = await service.find_sessions(db, caller, before=before, limit=here.rows_wanted)
    return here.page(rows, lambda session: [session.id])


@router.delete("/auth/sessions/{id}", status_code=204)
@requires(Permission.KEEP_OWN_ACCOUNT)
async def end_session(id: RecordId, caller: Caller, db: Db, request_id: RequestId) -> None:
    """End one of your sessions; its access tokens are refused within a second."""
    await service.end_session(db, caller, session_id=id, request_id=request_id)


@router.post("/auth/password", status_code=204, responses=refusals(InvalidCredentials, PasswordTooWeak))
@requires(Permission.KEEP_OWN_ACCOUNT, pace=Pace.STRICT)
async def change_password(
    body: schemas.PasswordChange,
    caller: Caller,
    db: Db,
    attempts: LoginAttempts,
    request_id: RequestId,
) -> None:
    """Change your password. All your other sessions end."""
    await service.change_password(
        db,
        attempts,
        caller,
        current_password=body.current_password,
        new_password=body.new_password,
        request_id=request_id,
    )


async def _log_in(
    request: Request,
    db: Database,
    attempts: Attempts,
    tokens: AccessTokens,
    *,
    body: schemas.Login,
    request_id: str,
) -> schemas.Tokens:
    admission = await service.log_in(
        db,
        attempts,
        clinic=body.clinic,
        email=body.email,
        password=body.password,
        otp=body.otp,
        mfa_key=request.app.state.mfa_key,
        now=clock.now(),
        refresh_lifetime=_refresh_lifetime(request),
        request_id=request_id,
    )
    return _tokens(tokens, admission)


def _tokens(tokens: AccessTokens, admission: service.Admission) -> schemas.Tokens:
    return schemas.Tokens.issued(tokens, admission.principal, admission.refresh_token, now=clock.now())


def _refresh_lifetime(request: Request) -> timedelta:
    lifetime: timedelta = request.app.state.refresh_lifetime
    return lifetime
