"""Who may do what, on one page. What a permission does not name, it refuses."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

PATIENT, DOCTOR, ADMIN = "patient", "doctor", "admin"
ROLES = frozenset({PATIENT, DOCTOR, ADMIN})
# Of whom a clinic may demand a second factor.
STAFF = frozenset({DOCTOR, ADMIN})


class Permission(StrEnum):
    """Something that can be allowed; an endpoint states the one it needs."""

    KEEP_OWN_ACCOUNT = "keep own account"
    MANAGE_USERS = "manage users"
    FIND_DOCTORS = "find doctors"
    OFFER_SLOTS = "offer slots"
    SEE_SLOTS = "see slots"
    WITHDRAW_SLOTS = "withdraw slots"
    BOOK_SLOTS = "book slots"
    SEE_OWN_CONSULTATIONS = "see own consultations"
    SEE_CONSULTATION = "see a consultation"
    SEE_ALL_CONSULTATIONS = "see all consultations"
    CHANGE_CONSULTATION = "change a consultation"
    PRESCRIBE = "prescribe"
    SEE_PRESCRIPTIONS = "see prescriptions"
    READ_AUDIT_LOG = "read the audit log"
    BREAK_GLASS = "break the glass"
    REVIEW_BREAK_GLASS = "review who broke the glass"


PERMISSIONS: dict[Permission, frozenset[str]] = {
    Permission.KEEP_OWN_ACCOUNT: ROLES,
    Permission.MANAGE_USERS: frozenset({ADMIN}),
    Permission.FIND_DOCTORS: ROLES,
    Permission.OFFER_SLOTS: frozenset({DOCTOR}),
    Permission.SEE_SLOTS: ROLES,
    Permission.WITHDRAW_SLOTS: frozenset({DOCTOR, ADMIN}),
    Permission.BOOK_SLOTS: frozenset({PATIENT}),
    Permission.SEE_OWN_CONSULTATIONS: frozenset({PATIENT, DOCTOR}),
    Permission.SEE_CONSULTATION: ROLES,
    Permission.SEE_ALL_CONSULTATIONS: frozenset({ADMIN}),
    Permission.CHANGE_CONSULTATION: ROLES,
    Permission.PRESCRIBE: frozenset({DOCTOR}),
    Permission.SEE_PRESCRIPTIONS: frozenset({PATIENT, DOCTOR}),
    Permission.READ_AUDIT_LOG: frozenset({ADMIN}),
    Permission.BREAK_GLASS: frozenset({DOCTOR}),
    Permission.REVIEW_BREAK_GLASS: frozenset({ADMIN}),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling, as the access token says."""

    clinic_id: int
    user_id: UUID
    role: str
    session_id: UUID
    token_version: int
    # The clinic demands a second factor of this role, and there is none yet: good for setting one up.
    needs_factor: bool = False


def may(role: str, permission: Permission) -> bool:
    """Whether the role has the permission."""
    return role in PERMISSIONS[permission]
