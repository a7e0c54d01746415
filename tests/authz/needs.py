"""The permission that each operation needs: the contract's *Who*, in the words of the permission page.

A route that is not here is a new promise: write it down first.
"""

from app.identity.rules import PERMISSIONS, Permission

Call = tuple[str, str]

OWN = Permission.KEEP_OWN_ACCOUNT
# `None`: anyone, without a token.
NEEDS: dict[Call, Permission | None] = {
    ("POST", "/auth/register"): None,
    ("POST", "/auth/login"): None,
    ("POST", "/auth/token"): None,
    ("POST", "/auth/refresh"): None,
    ("POST", "/auth/logout"): OWN,
    ("POST", "/auth/password"): OWN,
    ("POST", "/auth/password/forgot"): None,
    ("POST", "/auth/password/reset"): None,
    ("POST", "/auth/email/confirm"): None,
    ("GET", "/auth/sessions"): OWN,
    ("DELETE", "/auth/sessions/{id}"): OWN,
    ("POST", "/auth/mfa/totp"): OWN,
    ("POST", "/auth/mfa/totp/confirm"): OWN,
    ("DELETE", "/auth/mfa/totp"): OWN,
    ("POST", "/auth/mfa/passkeys"): OWN,
    ("POST", "/auth/mfa/passkeys/confirm"): OWN,
    ("GET", "/auth/mfa/passkeys"): OWN,
    ("DELETE", "/auth/mfa/passkeys/{id}"): OWN,
    ("POST", "/auth/mfa/passkeys/challenge"): None,
    ("POST", "/auth/mfa/passkeys/login"): None,
    ("GET", "/users/me"): OWN,
    ("PATCH", "/users/me"): OWN,
    ("GET", "/users/me/access-log"): OWN,
    ("POST", "/users/"): Permission.MANAGE_USERS,
    ("GET", "/users/"): Permission.MANAGE_USERS,
    ("PATCH", "/users/{id}"): Permission.MANAGE_USERS,
    ("GET", "/doctors/"): Permission.FIND_DOCTORS,
    ("GET", "/doctors/{id}"): Permission.FIND_DOCTORS,
    ("POST", "/availability/"): Permission.OFFER_SLOTS,
    ("POST", "/availability/bulk"): Permission.OFFER_SLOTS,
    ("GET", "/availability/"): Permission.SEE_SLOTS,
    ("DELETE", "/availability/{id}"): Permission.WITHDRAW_SLOTS,
    ("POST", "/bookings/"): Permission.BOOK_SLOTS,
    ("GET", "/consultations/my"): Permission.SEE_OWN_CONSULTATIONS,
    ("GET", "/consultations/{id}"): Permission.SEE_CONSULTATION,
    ("GET", "/consultations/"): Permission.SEE_ALL_CONSULTATIONS,
    ("PATCH", "/consultations/{id}/status"): Permission.CHANGE_CONSULTATION,
    ("POST", "/prescriptions/"): Permission.PRESCRIBE,
    ("GET", "/prescriptions/my"): Permission.SEE_PRESCRIPTIONS,
    ("GET", "/prescriptions/{id}"): Permission.SEE_PRESCRIPTIONS,
    ("POST", "/patients/{id}/break-glass"): Permission.BREAK_GLASS,
    ("GET", "/patients/{id}/consultations"): Permission.BREAK_GLASS,
    ("GET", "/patients/{id}/prescriptions"): Permission.BREAK_GLASS,
    ("GET", "/break-glass/"): Permission.REVIEW_BREAK_GLASS,
    ("POST", "/break-glass/{id}/review"): Permission.REVIEW_BREAK_GLASS,
    ("GET", "/audit-logs/"): Permission.READ_AUDIT_LOG,
    ("GET", "/health/live"): None,
    ("GET", "/health/ready"): None,
}
# What is open to somebody of whom the clinic demands a second factor, and who has none yet.
ENROLLING = {
    ("POST", "/auth/mfa/totp"),
    ("POST", "/auth/mfa/totp/confirm"),
    ("POST", "/auth/mfa/passkeys"),
    ("POST", "/auth/mfa/passkeys/confirm"),
    ("POST", "/auth/logout"),
    ("GET", "/users/me"),
}
GUARDED = [call for call, permission in NEEDS.items() if permission is not None]


def roles_for(call: Call) -> frozenset[str] | None:
    """Whom the page lets do it; `None`: anyone."""
    permission = NEEDS[call]
    return None if permission is None else PERMISSIONS[permission]
