"""Predicates without which nobody is let, told or reached who must not be, each with the reason.

By file, place and source text: who changes one says anew why it does not matter, or sees it noticed.
"""

_REFERENCE = "follows a reference: the ids on both sides are the same row's, and nobody else's in any clinic"
_ONE_ROLE = "an id is of one role: who has a history keeps it (`fk_consultations_patient`, `fk_consultations_doctor`)"
_ASKED_AT_THE_GATE = "the gate has asked for the role, and a new role voids the token (docs/decisions/0008)"
_OWN_DEED = "whether a deed to oneself leaves an audit row about another: it never has another's `subject_id`"
_LOCK = "locks rows, and neither tells nor changes them"
_OWN_BESIDE = "stands beside the caller's own id, or their grant, in each statement"
EQUIVALENTS: dict[str, str] = {
    "app/availability/clauses.py:reopen_slot: slots.c.clinic_id == cancelled.c.clinic_id": _REFERENCE,
    "app/encryption/clauses.py:key_of: data_keys.c.clinic_id == clinic_id": _REFERENCE,
    "app/identity/sessions/sql.py:_HAS_TOKEN: tokens.c.clinic_id == _CLINIC_ID": _REFERENCE,
    "app/identity/users/sql.py:change_user: sessions.c.clinic_id == changed.c.clinic_id": _REFERENCE,
    "app/oversight/sql.py:accesses_to: grants.c.clinic_id == page.c.clinic_id": _REFERENCE,
    "app/consultation/sql.py:_IS_CONCERNED: constant('patient') == ACTOR_ROLE": _ONE_ROLE,
    "app/consultation/sql.py:_IS_CONCERNED: constant('doctor') == ACTOR_ROLE": _ONE_ROLE,
    "app/prescription/sql.py:_IS_CONCERNED: constant('patient') == ACTOR_ROLE": _ONE_ROLE,
    "app/prescription/sql.py:_IS_CONCERNED: constant('doctor') == ACTOR_ROLE": _ONE_ROLE,
    "app/identity/users/clauses.py:active_user: users.c.role == constant(role)": _ASKED_AT_THE_GATE,
    "app/identity/users/clauses.py:active_patients: users.c.role == constant('patient')": _ASKED_AT_THE_GATE,
    "app/consultation/sql.py:_read: found.c.patient_id != ACTOR_ID": _OWN_DEED,
    "app/prescription/sql.py:_read: found.c.patient_id != ACTOR_ID": _OWN_DEED,
    "app/identity/users/sql.py:LOCK_USER: users.c.id == bindparam('user_id', type_=Uuid)": _LOCK,
    "app/identity/sessions/sql.py:_end_family: sessions.c.clinic_id == _CLINIC_ID": _OWN_BESIDE,
    "app/prescription/sql.py:_CLINIC: prescriptions.c.clinic_id == bindparam('clinic_id')": _OWN_BESIDE,
    "app/breakglass/clauses.py:grant_in_force: constant('doctor') == ACTOR_ROLE": (
        "the grant is the caller's, of whom `is_active_doctor` is asked beside it"
    ),
    "app/consultation/sql.py:_change: constant(role) == ACTOR_ROLE": (
        "`may_change` has asked before the statement is run"
    ),
    "app/availability/sql.py:_FILTERS: slots.c.doctor_id == ask.c.doctor_id": (
        "a search filter: who sees the clinic's slots sees any doctor's"
    ),
    "app/booking/sql.py:_book: key.c.user_id == patient.c.patient_id": (
        "one call has one key; a statement for several with equal keys breaks `audit_logs_pkey`, and each goes alone"
    ),
    "app/identity/sessions/service.py:: token.clinic_id != principal.clinic_id": (
        "the statement asks for the clinic again"
    ),
    "app/identity/sessions/sql.py:_change_password: users.c.id == _USER_ID": (
        "stands beside the salted hash of the caller's own password"
    ),
}

_BY_WHAT_WAS_SHOWN = "finds an account by what somebody shows who has no token yet: a password, a link, a refresh token"
# Nobody runs these with a token; by file and place.
BEHIND_NO_GUARD: dict[str, str] = {
    "app/encryption/sql.py:_erase": "a command of the owner's",
    "app/identity/attempts/sql.py:_admit": "counts guesses, of which no record is anybody's",
    "app/identity/attempts/sql.py:_forgive": "counts guesses, of which no record is anybody's",
    "app/identity/links/sql.py:_PRESENTED": _BY_WHAT_WAS_SHOWN,
    "app/identity/links/sql.py:_changed": _BY_WHAT_WAS_SHOWN,
    "app/identity/links/sql.py:TO_MAIL": "the postman's",
    "app/identity/rotation/sql.py:LOCK_FAMILY": _BY_WHAT_WAS_SHOWN,
    "app/identity/rotation/sql.py:PRESENTED": _BY_WHAT_WAS_SHOWN,
    "app/identity/rotation/sql.py:_rotate": _BY_WHAT_WAS_SHOWN,
    "app/identity/sessions/sql.py:_open_session": _BY_WHAT_WAS_SHOWN,
    "app/identity/users/sql.py:SHARE_USER": _BY_WHAT_WAS_SHOWN,
    "app/outbox/sql.py:PUBLISH": "the postman's",
}
