"""`/auth/mfa/totp`."""

from typing import Any

import segno
from fastapi import APIRouter

from app.http.depends import Db, RequestId
from app.http.problems import refusals
from app.identity.depends import LoginAttempts, MfaKey
from app.identity.errors import InvalidCredentials
from app.identity.guard import Caller, GuardedRoute, Pace, requires
from app.identity.mfa import schemas, service
from app.identity.mfa.errors import LastSecondFactor, OtpInvalid, TotpAlreadyOn
from app.identity.rules import Permission
from app.kit import clock

router = APIRouter(route_class=GuardedRoute, tags=["Authentication"], prefix="/auth/mfa")
# Of a dot in the QR code, in pixels.
_SCALE = 4


@router.post("/totp", response_model=schemas.TotpSecret, responses=refusals(InvalidCredentials, TotpAlreadyOn))
@requires(Permission.KEEP_OWN_ACCOUNT, pace=Pace.STRICT, enrolling=True)
async def set_up_totp(
    body: schemas.TotpSetUp,
    caller: Caller,
    db: Db,
    attempts: LoginAttempts,
    key: MfaKey,
    request_id: RequestId,
) -> Any:
    """Begin to use one-time codes (TOTP, RFC 6238).

    Give the secret to an authenticator app, then confirm with its first code. Until then nothing changes.
    """
    secret, address = await service.set_up(db, attempts, caller, key=key, password=body.password, request_id=request_id)
    qr_svg = segno.make_qr(address).svg_inline(scale=_SCALE)
    return schemas.TotpSecret(secret=secret, otpauth_uri=address, qr_svg=qr_svg)


@router.post("/totp/confirm", response_model=schemas.RecoveryCodes, responses=refusals(OtpInvalid))
@requires(Permission.KEEP_OWN_ACCOUNT, pace=Pace.STRICT, enrolling=True)
async def confirm_totp(body: schemas.OtpProof, caller: Caller, db: Db, key: MfaKey, request_id: RequestId) -> Any:
    """Turn one-time codes on. Every login needs one from now on; your other sessions end.

    Where the clinic demands a second factor, refresh the token after this: the present one is good for enrolling only.
    """
    codes = await service.confirm(db, caller, key=key, otp=body.otp, now=clock.now(), request_id=request_id)
    return schemas.RecoveryCodes(recovery_codes=codes)


@router.delete("/totp", status_code=204, responses=refusals(OtpInvalid, LastSecondFactor))
@requires(Permission.KEEP_OWN_ACCOUNT, pace=Pace.STRICT)
async def remove_totp(body: schemas.OtpProof, caller: Caller, db: Db, key: MfaKey, request_id: RequestId) -> None:
    """Turn one-time codes off, with a code of the app or a recovery code. Your other sessions end.

    Where the clinic demands a second factor, the only one stays.
    """
    await service.remove(db, caller, key=key, otp=body.otp, now=clock.now(), request_id=request_id)
