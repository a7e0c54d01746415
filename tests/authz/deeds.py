"""What people do to their own account for real, and whether a deed reaches anybody else's rows."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql

from app.identity.rules import PATIENT
from tests.authz.needs import NEEDS, OWN, Call
from tests.authz.owned import Request
from tests.authz.town import Principal, Standing, Town
from tests.cast import PASSWORD, Person
from tests.identity.authenticator import Authenticator, adds_passkey, begins_passkey
from tests.identity.factors import begins, turns_on

# Whatever is done to these is a deed; that somebody was refused may be written down elsewhere.
TABLES = (
    "availability_slots",
    "break_glass_grants",
    "consultations",
    "passkeys",
    "prescriptions",
    "recovery_codes",
    "refresh_tokens",
    "sessions",
    "totp_secrets",
    "users",
)
# The rows of a person, by the column that says whose.
_PERSONAL = {
    "passkey_challenges": "user_id",
    "passkeys": "user_id",
    "recovery_codes": "user_id",
    "sessions": "user_id",
    "totp_secrets": "user_id",
    "users": "id",
}
_COUNT = "SELECT count(*), sum(xmin::text::bigint) FROM {}"
Rows = dict[str, object]


def rows(owner: psycopg.Connection, *, besides: Person) -> Rows:
    """How many rows each table has, and how often one of them was changed; the person's own account is theirs."""
    found: Rows = {}
    for table in TABLES:
        condition = " WHERE id <> %(id)s" if table == "users" else ""
        found[table] = owner.execute(
            sql.SQL(_COUNT + condition).format(sql.Identifier(table)), {"id": besides.id}
        ).fetchone()
    return found


def rows_of_others(owner: psycopg.Connection, town: Town, call: Call, person: Person) -> Rows:
    """The same of what somebody must not reach who may do this: other people's, or at least the other clinic's."""
    if NEEDS[call] is not OWN:
        theirs = sql.SQL(_COUNT + " WHERE clinic_id = %s")
        abroad = [town.clinics["abroad"].id]
        return {table: owner.execute(theirs.format(sql.Identifier(table)), abroad).fetchone() for table in TABLES}
    others = sql.SQL(_COUNT + " WHERE {} <> %s")
    return {
        table: owner.execute(others.format(sql.Identifier(table), sql.Identifier(column)), [person.id]).fetchone()
        for table, column in _PERSONAL.items()
    }


def _confirms_app(person: Person) -> dict[str, Any]:
    return {"otp": begins(person, datetime.now(UTC)).code(-1)}


def _removes_app(person: Person) -> dict[str, Any]:
    return {"otp": turns_on(person, datetime.now(UTC))[0].code()}


def _confirms_passkey(person: Person) -> dict[str, Any]:
    return {"credential": Authenticator().creates(begins_passkey(person))}


# Of each, what somebody sends who has just come, after whatever must go before it.
_DEEDS: dict[Call, Callable[[Person], dict[str, Any]]] = {
    ("PATCH", "/users/me"): lambda _: {"full_name": "Another Name"},
    ("POST", "/auth/password"): lambda _: {"current_password": PASSWORD, "new_password": "pear-lantern-basket"},
    ("POST", "/auth/mfa/totp"): lambda _: {"password": PASSWORD},
    ("POST", "/auth/mfa/totp/confirm"): _confirms_app,
    ("DELETE", "/auth/mfa/totp"): _removes_app,
    ("POST", "/auth/mfa/passkeys"): lambda _: {"password": PASSWORD},
    ("POST", "/auth/mfa/passkeys/confirm"): _confirms_passkey,
    ("DELETE", "/auth/mfa/passkeys/{id}"): lambda _: {"password": PASSWORD},
}


def others_code(town: Town) -> tuple[Principal, Callable[[], Request]]:
    """Somebody with an app, who would turn it off with another's recovery code."""
    person = town.newcomers["POST", "/auth/logout"]

    def ask() -> Request:
        turns_on(person, datetime.now(UTC))
        return {"path": "/auth/mfa/totp", "json": {"otp": town.others_code}}

    return Principal("somebody new", person, PATIENT, Standing.GOOD), ask


def deed(town: Town, call: Call) -> tuple[Principal, Callable[[], Request]] | None:
    """Somebody who has just come, and what they send to do this to their account."""
    if call not in _DEEDS:
        return None
    person = town.newcomers[call]

    def ask() -> Request:
        path = call[1]
        if "{" in path:
            # The last factor goes, and the recovery codes with it.
            path = path.replace("{id}", adds_passkey(person)[1]["id"])
        return {"path": path, "json": _DEEDS[call](person)}

    return Principal("somebody new", person, PATIENT, Standing.GOOD), ask
