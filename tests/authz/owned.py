"""Whose each kind of record is, and how the operations name one."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from app.identity.rules import ADMIN, DOCTOR, PATIENT, ROLES
from tests.authz.needs import NEEDS, Call, roles_for
from tests.cast import PASSWORD, fresh_key, iso, prescription_for, some_time

Request = dict[str, Any]


class Reach(Enum):
    """Which records of a kind are there for somebody; of a kind that is not named for a role: none."""

    OWN = "their own"
    CLINIC = "their clinic's"


OWN, CLINIC = Reach.OWN, Reach.CLINIC
# One row for each kind of record, and the only place that says whose it is.
KINDS: dict[str, dict[str, Reach]] = {
    "account": {ADMIN: CLINIC},
    "doctor": dict.fromkeys(ROLES, CLINIC),
    "patient": {DOCTOR: CLINIC},
    "session": dict.fromkeys(ROLES, OWN),
    "passkey": dict.fromkeys(ROLES, OWN),
    "slot": dict.fromkeys(ROLES, CLINIC),
    "offered slot": {DOCTOR: OWN, ADMIN: CLINIC},
    "consultation": {PATIENT: OWN, DOCTOR: OWN, ADMIN: CLINIC},
    "held consultation": {DOCTOR: OWN},
    "prescription": {PATIENT: OWN, DOCTOR: OWN},
    "opened record": {DOCTOR: OWN},
    "grant": {ADMIN: CLINIC},
    "access": dict.fromkeys(ROLES, OWN),
    "audit row": {ADMIN: CLINIC},
}
# The numbers of slots are no UUIDs.
NUMBERED = {"slot", "offered slot"}


@dataclass(frozen=True, slots=True)
class Named:
    """A request that names a record; `not_for` are who may see it and not do this to it, and are told so."""

    kind: str
    request: Callable[[str], Request]
    not_for: frozenset[str] = frozenset()
    label: str = ""


def _path(template: str, **request: Any) -> Callable[[str], Request]:
    return lambda id: {"path": template.replace("{id}", id), **request}


def _book(id: str) -> Request:
    return {"path": "/bookings/", "json": {"slot_id": int(id)}, "key": fresh_key()}


def _prescribe(id: str) -> Request:
    return {"path": "/prescriptions/", "json": prescription_for(id), "key": fresh_key()}


def _change(status: str) -> Callable[[str], Request]:
    return _path("/consultations/{id}/status", json={"status": status})


# How a record is named, by every operation that names one in its path or body.
NAMED: dict[Call, list[Named]] = {
    ("PATCH", "/users/{id}"): [Named("account", _path("/users/{id}", json={"full_name": "Another Name"}))],
    ("DELETE", "/auth/sessions/{id}"): [Named("session", _path("/auth/sessions/{id}"))],
    ("DELETE", "/auth/mfa/passkeys/{id}"): [
        Named("passkey", _path("/auth/mfa/passkeys/{id}", json={"password": PASSWORD}))
    ],
    ("GET", "/doctors/{id}"): [Named("doctor", _path("/doctors/{id}"))],
    ("DELETE", "/availability/{id}"): [Named("offered slot", _path("/availability/{id}"))],
    ("GET", "/consultations/{id}"): [Named("consultation", _path("/consultations/{id}"))],
    ("PATCH", "/consultations/{id}/status"): [
        Named("consultation", _change("cancelled"), label="cancelled"),
        Named("consultation", _change("completed"), not_for=frozenset({PATIENT, ADMIN}), label="completed"),
    ],
    ("GET", "/prescriptions/{id}"): [Named("prescription", _path("/prescriptions/{id}"))],
    ("POST", "/patients/{id}/break-glass"): [
        Named("patient", _path("/patients/{id}/break-glass", json={"reason": "Unconscious"}))
    ],
    ("GET", "/patients/{id}/consultations"): [Named("opened record", _path("/patients/{id}/consultations"))],
    ("GET", "/patients/{id}/prescriptions"): [Named("opened record", _path("/patients/{id}/prescriptions"))],
    ("POST", "/break-glass/{id}/review"): [Named("grant", _path("/break-glass/{id}/review", json={}))],
    ("POST", "/bookings/"): [Named("slot", _book)],
    ("POST", "/prescriptions/"): [
        Named("held consultation", _prescribe, label="held"),
        # The reason for which it is refused would tell of somebody else's.
        Named("consultation", _prescribe, label="scheduled"),
    ],
}
# What kind of record a list is of.
LISTED: dict[Call, str] = {
    ("GET", "/auth/sessions"): "session",
    ("GET", "/auth/mfa/passkeys"): "passkey",
    ("GET", "/users/"): "account",
    ("GET", "/users/me/access-log"): "access",
    ("GET", "/doctors/"): "doctor",
    ("GET", "/availability/"): "slot",
    ("GET", "/consultations/my"): "consultation",
    ("GET", "/consultations/"): "consultation",
    ("GET", "/patients/{id}/consultations"): "consultation",
    ("GET", "/prescriptions/my"): "prescription",
    ("GET", "/patients/{id}/prescriptions"): "prescription",
    ("GET", "/break-glass/"): "grant",
    ("GET", "/audit-logs/"): "audit row",
}
# Where an `Idempotency-Key` is taken, and what record the request makes that bears it.
KEYED: dict[Call, str] = {
    ("POST", "/bookings/"): "slot",
    ("POST", "/prescriptions/"): "held consultation",
    ("POST", "/availability/"): "",
    ("POST", "/availability/bulk"): "",
}
# Whose session a body's token names; the answer is the same for every token, and only the own one is over.
BY_TOKEN = {("POST", "/auth/logout")}


def effective(call: Call) -> Request:
    """A request that would do something, if it were let, where no record need be named."""
    start = some_time()
    times = {"starts_at": iso(start), "ends_at": iso(start.replace(minute=30))}
    user = {"email": f"{fresh_key()}@clinic.test", "password": PASSWORD, "full_name": "M", "role": ADMIN}
    bodies = {
        ("POST", "/users/"): user,
        ("POST", "/availability/"): times,
        ("POST", "/availability/bulk"): {"slots": [times]},
    }
    body = bodies.get(call)
    return {"path": call[1], **({"json": body} if body else {})}


def uncovered(document: dict[str, Any]) -> list[str]:
    """What the OpenAPI document has and the tables do not, and the other way about."""
    found: dict[Call, dict[str, Any]] = {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    tables = {"NEEDS": NEEDS, "NAMED": NAMED, "LISTED": LISTED, "KEYED": KEYED, "BY_TOKEN": dict.fromkeys(BY_TOKEN)}
    gaps = [f"{name}: {call} is in no document" for name, table in tables.items() for call in table.keys() - found]
    gaps += [f"{call} needs no permission" for call in found.keys() - NEEDS.keys()]
    for call, operation in found.items():
        if NEEDS.get(call) is None:
            continue
        fields = _body_fields(document, operation)
        if ("{" in call[1] or any(name.endswith("_id") for name in fields)) and call not in NAMED:
            gaps.append(f"{call} names a record of no kind")
        if "refresh_token" in fields and call not in BY_TOKEN:
            gaps.append(f"{call} names a session by its token")
        names = {one["name"] for one in operation.get("parameters", [])}
        if "cursor" in names and call not in LISTED:
            gaps.append(f"{call} lists records of no kind")
        if "Idempotency-Key" in names and call not in KEYED:
            gaps.append(f"{call} takes a key")
    gaps += [
        f"nobody says whose a {named.kind} is to a {role}"
        for call, forms in NAMED.items()
        for named in forms
        for role in (roles_for(call) or ())
        if role not in KINDS[named.kind]
    ]
    used = {named.kind for forms in NAMED.values() for named in forms} | set(LISTED.values())
    return sorted(gaps) + [f"nothing names a {kind}" for kind in KINDS.keys() - used]


def _body_fields(document: dict[str, Any], operation: dict[str, Any]) -> set[str]:
    [content, *_] = [*operation.get("requestBody", {}).get("content", {}).values(), {}]
    schema = content.get("schema", {})
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    return set(schema.get("properties", {}))
