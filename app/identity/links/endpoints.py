"""`/auth/password/forgot`, `/auth/password/reset` and `/auth/email/confirm`."""

from typing import Any

from fastapi import APIRouter

from app.http.depends import Db, RequestId
from app.http.problems import refusals
from app.identity.depends import LinkKey, LoginAttempts, PasswordHasher
from app.identity.guard import GuardedRoute, public
from app.identity.links import schemas, service
from app.identity.links.errors import LinkNotGood
from app.identity.passwords import PasswordTooWeak
from app.identity.tokens import LinkToken

router = APIRouter(route_class=GuardedRoute, tags=["Authentication"])


@router.post("/auth/password/forgot", status_code=202, response_model=schemas.Asked)
@public
async def forget_password(body: schemas.ForgottenPassword, db: Db, key: LinkKey, request_id: RequestId) -> Any:
    """Ask for a mail with which to set a new password.

    The answer is the same after the same time, whether there is such an account or not. The link in the mail is good
    once, within an hour, until the next one is made; an account gets three mails an hour at most.
    """
    await service.ask_reset(db, key=key, clinic=body.clinic, email=body.email, request_id=request_id)
    return schemas.Asked()


@router.post("/auth/password/reset", status_code=204, responses=refusals(LinkNotGood, PasswordTooWeak))
@public
async def reset_password(
    body: schemas.PasswordReset, db: Db, passwords: PasswordHasher, attempts: LoginAttempts, request_id: RequestId
) -> None:
    """Set a new password with the token of a mail.

    All your sessions end, and their access tokens are refused within a second. A second factor stays; nobody is logged
    in by this. From where you are, you can log in at once, however often somebody guessed.
    """
    await service.reset_password(
        db, passwords, attempts, _token(body.token), new_password=body.new_password, request_id=request_id
    )


@router.post("/auth/email/confirm", status_code=204, responses=refusals(LinkNotGood))
@public
async def confirm_email(body: schemas.Confirmation, db: Db, request_id: RequestId) -> None:
    """Confirm your e-mail with the token of the mail that came after registering, within seven days."""
    await service.confirm_email(db, _token(body.token), request_id=request_id)


def _token(text: str) -> LinkToken:
    token = LinkToken.parse(text)
    if token is None:
        raise LinkNotGood
    return token
