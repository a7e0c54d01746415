"""No route without a gate, and each gate tried: nobody, the wrong role, the wrong owner, the wrong clinic."""

import uuid
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from fastapi import APIRouter
from starlette.testclient import TestClient

from app import main
from app.identity.guard import GuardedRoute
from app.identity.rules import STAFF
from tests.cast import PASSWORD, Clinic, fresh_key, prescription_for
from tests.contract import document
from tests.identity.authenticator import adds_passkey
from tests.laws.catalog import operations, routes
from tests.prescription.test_post_prescriptions import held_consultation

ANY = {"patient", "doctor", "admin"}
# Word for word the contract's *Who*. A route that is not here is a new promise: write it down first.
WHO: dict[tuple[str, str], set[str] | None] = {
    ("POST", "/auth/register"): None,
    ("POST", "/auth/login"): None,
    ("POST", "/auth/token"): None,
    ("POST", "/auth/refresh"): None,
    ("POST", "/auth/logout"): ANY,
    ("POST", "/auth/password"): ANY,
    ("POST", "/auth/password/forgot"): None,
    ("POST", "/auth/password/reset"): None,
    ("POST", "/auth/email/confirm"): None,
    ("GET", "/auth/sessions"): ANY,
    ("DELETE", "/auth/sessions/{id}"): ANY,
    ("POST", "/auth/mfa/totp"): ANY,
    ("POST", "/auth/mfa/totp/confirm"): ANY,
    ("DELETE", "/auth/mfa/totp"): ANY,
    ("POST", "/auth/mfa/passkeys"): ANY,
    ("POST", "/auth/mfa/passkeys/confirm"): ANY,
    ("GET", "/auth/mfa/passkeys"): ANY,
    ("DELETE", "/auth/mfa/passkeys/{id}"): ANY,
    ("POST", "/auth/mfa/passkeys/challenge"): None,
    ("POST", "/auth/mfa/passkeys/login"): None,
    ("GET", "/users/me"): ANY,
    ("PATCH", "/users/me"): ANY,
    ("POST", "/users/"): {"admin"},
    ("GET", "/users/"): {"admin"},
    ("PATCH", "/users/{id}"): {"admin"},
    ("GET", "/doctors/"): ANY,
    ("GET", "/doctors/{id}"): ANY,
    ("POST", "/availability/"): {"doctor"},
    ("POST", "/availability/bulk"): {"doctor"},
    ("GET", "/availability/"): ANY,
    ("DELETE", "/availability/{id}"): {"doctor", "admin"},
    ("POST", "/bookings/"): {"patient"},
    ("GET", "/consultations/my"): {"patient", "doctor"},
    ("GET", "/consultations/{id}"): ANY,
    ("GET", "/consultations/"): {"admin"},
    ("PATCH", "/consultations/{id}/status"): ANY,
    ("POST", "/prescriptions/"): {"doctor"},
    ("GET", "/prescriptions/my"): {"patient", "doctor"},
    ("GET", "/prescriptions/{id}"): {"patient", "doctor"},
    ("POST", "/patients/{id}/break-glass"): {"doctor"},
    ("GET", "/patients/{id}/consultations"): {"doctor"},
    ("GET", "/patients/{id}/prescriptions"): {"doctor"},
    ("GET", "/break-glass/"): {"admin"},
    ("POST", "/break-glass/{id}/review"): {"admin"},
    ("GET", "/users/me/access-log"): ANY,
    ("GET", "/audit-logs/"): {"admin"},
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
PUBLIC_PAGES = {"/openapi.json", "/docs", "/docs/static"}
GUARDED = [call for call, who in WHO.items() if who is not None]
WRONG_ROLES = [(*call, role) for call in GUARDED for role in sorted(ANY - (WHO[call] or ANY))]
NAMES = {"patient": "paul", "doctor": "dora", "admin": "amara"}
BAD_TOKENS = {
    "no token": None,
    "nothing": "",
    "another scheme": "Basic cGF1bDpwbHVt",
    "no scheme": "eyJhbGciOiJIUzI1NiJ9.e30.x",
    "empty bearer": "Bearer ",
    "nonsense": "Bearer nonsense",
    "unsigned": "Bearer eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.eyJzdWIiOiJ4In0.",
}


def named(calls: Iterable[tuple[str, ...]]) -> list[Any]:
    """The calls as cases of a test that say what they are."""
    return [pytest.param(*call, id=" ".join(call)) for call in calls]


def test_the_table_knows_every_route() -> None:
    assert {(method, path) for method, path, _ in routes()} == set(WHO)
    assert all(isinstance(route, GuardedRoute) for _, _, route in routes())


def test_document_knows_every_route(client: TestClient) -> None:
    assert {(method, path) for method, path, _ in operations(document(client))} == set(WHO)


def test_nothing_is_served_beside_the_routers(client: TestClient) -> None:
    served = client.app.routes  # type: ignore[attr-defined]
    assert {route.path for route in served if not isinstance(route, GuardedRoute)} == PUBLIC_PAGES
    assert len([route for route in served if isinstance(route, GuardedRoute)]) == len(routes())


def test_route_without_a_gate_fails_when_it_is_made() -> None:
    router = APIRouter(route_class=GuardedRoute)

    async def endpoint() -> None:
        """Nobody said who may call it."""

    with pytest.raises(TypeError, match="states neither"):
        router.get("/open")(endpoint)


def test_every_router_makes_guarded_routes() -> None:
    assert {router.route_class for router in main.ROUTERS} == {GuardedRoute}


@pytest.mark.parametrize(("method", "path"), named(GUARDED))
@pytest.mark.parametrize("token", BAD_TOKENS.values(), ids=BAD_TOKENS)
def test_nobody_gets_401(clinic: Clinic, method: str, path: str, token: str | None) -> None:
    headers = {} if token is None else {"authorization": token}
    refused = clinic.nobody.sends(method, path.replace("{id}", str(uuid.uuid4())), headers=headers, expect=401)
    assert refused.json()["code"] == "unauthenticated"
    assert refused.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path", "role"), named(WRONG_ROLES))
def test_wrong_role_gets_403_before_anything_is_looked_up(clinic: Clinic, method: str, path: str, role: str) -> None:
    for id in (str(uuid.uuid4()), "malformed"):
        refused = getattr(clinic, NAMES[role]).sends(method, path.replace("{id}", id), expect=403)
        assert refused.json()["code"] == "forbidden"
    assert len(clinic.amara.audit_rows(action="request.denied")) == 2


@pytest.mark.parametrize(("method", "path"), named(GUARDED))
def test_right_role_passes_the_gate(clinic: Clinic, method: str, path: str) -> None:
    for role in sorted(WHO[method, path] or ()):
        answer = clinic.hires(f"some-{role}", role=role).sends(method, path.replace("{id}", str(uuid.uuid4())))
        assert answer.status_code not in (401, 403, 405, 500, 503), answer.text


@pytest.mark.parametrize(("method", "path"), named(call for call in GUARDED if STAFF & (WHO[call] or ANY)))
def test_who_lacks_the_demanded_factor_can_only_set_one_up(clinic: Clinic, method: str, path: str) -> None:
    lacking = [clinic.hires(f"some-{role}", role=role) for role in sorted(STAFF & (WHO[method, path] or ANY))]
    clinic.demands_second_factor(*STAFF)
    for person in lacking:
        answer = person.logs_in().sends(method, path.replace("{id}", str(uuid.uuid4())))
        if (method, path) in ENROLLING:
            assert answer.status_code not in (401, 403, 405, 500, 503), answer.text
        else:
            assert (answer.status_code, answer.json()["code"]) == (403, "second_factor_required")


# A record of `clinic` for each route that names one: how it is named, and who of the clinic has nothing to do with it.
Named = Callable[[Clinic], dict[str, Any]]


def _user(clinic: Clinic) -> dict[str, Any]:
    return {"path": f"/users/{clinic.paul.id}", "json": {"full_name": "Another Name"}}


def _doctor(clinic: Clinic) -> dict[str, Any]:
    return {"path": f"/doctors/{clinic.dora.id}"}


def _slot(clinic: Clinic) -> dict[str, Any]:
    return {"path": f"/availability/{clinic.dora.offers()['id']}"}


def _consultation(clinic: Clinic) -> dict[str, Any]:
    return {"path": f"/consultations/{clinic.paul.has_booked(clinic.dora.offers())['id']}"}


def _status(clinic: Clinic) -> dict[str, Any]:
    return {"path": _consultation(clinic)["path"] + "/status", "json": {"status": "cancelled"}}


def _prescription(clinic: Clinic) -> dict[str, Any]:
    prescription = clinic.dora.prescribes(held_consultation(clinic), expect=201).json()
    return {"path": f"/prescriptions/{prescription['id']}"}


def _slot_to_book(clinic: Clinic) -> dict[str, Any]:
    return {"path": "/bookings/", "json": {"slot_id": clinic.dora.offers()["id"]}, "key": fresh_key()}


def _consultation_to_prescribe_for(clinic: Clinic) -> dict[str, Any]:
    body = prescription_for(held_consultation(clinic)["id"])
    return {"path": "/prescriptions/", "json": body, "key": fresh_key()}


def _session(clinic: Clinic) -> dict[str, Any]:
    [here] = [one for one in clinic.paul.gets("/auth/sessions").json()["items"] if one["is_current"]]
    return {"path": f"/auth/sessions/{here['id']}"}


def _passkey(clinic: Clinic) -> dict[str, Any]:
    return {"path": f"/auth/mfa/passkeys/{adds_passkey(clinic.paul)[1]['id']}", "json": {"password": PASSWORD}}


def _patient(clinic: Clinic) -> dict[str, Any]:
    return {"path": f"/patients/{clinic.paul.id}/break-glass", "json": {"reason": "Unconscious"}}


def _opened_list(name: str) -> Named:
    def opened(clinic: Clinic) -> dict[str, Any]:
        clinic.dora.posts(**_patient(clinic), expect=201)
        return {"path": f"/patients/{clinic.paul.id}/{name}"}

    return opened


def _grant(clinic: Clinic) -> dict[str, Any]:
    grant = clinic.dora.posts(**_patient(clinic), expect=201).json()
    return {"path": f"/break-glass/{grant['id']}/review", "json": {}}


NAMED: dict[tuple[str, str], tuple[Named, set[str]]] = {
    ("PATCH", "/users/{id}"): (_user, set()),
    ("DELETE", "/auth/sessions/{id}"): (_session, {"petra", "amara"}),
    ("DELETE", "/auth/mfa/passkeys/{id}"): (_passkey, {"petra", "amara"}),
    ("GET", "/doctors/{id}"): (_doctor, set()),
    ("DELETE", "/availability/{id}"): (_slot, {"dev"}),
    ("GET", "/consultations/{id}"): (_consultation, {"petra", "dev"}),
    ("PATCH", "/consultations/{id}/status"): (_status, {"petra", "dev"}),
    ("GET", "/prescriptions/{id}"): (_prescription, {"petra", "dev"}),
    ("POST", "/patients/{id}/break-glass"): (_patient, set()),
    ("GET", "/patients/{id}/consultations"): (_opened_list("consultations"), {"dev"}),
    ("GET", "/patients/{id}/prescriptions"): (_opened_list("prescriptions"), {"dev"}),
    ("POST", "/break-glass/{id}/review"): (_grant, set()),
    ("POST", "/bookings/"): (_slot_to_book, set()),
    ("POST", "/prescriptions/"): (_consultation_to_prescribe_for, {"dev"}),
}
STRANGERS = [(*call, name) for call, (_, names) in NAMED.items() for name in sorted(names)]
FOREIGNERS = [(*call, NAMES[role]) for call in NAMED for role in sorted(WHO[call] or ())]


def test_the_table_knows_every_route_that_names_a_record() -> None:
    assert {call for call in WHO if "{id}" in call[1]} <= set(NAMED)


@pytest.mark.parametrize(("method", "path", "name"), named(STRANGERS))
def test_wrong_owner_cannot_tell_it_from_an_absent_one(clinic: Clinic, method: str, path: str, name: str) -> None:
    _assert_like_absent(getattr(clinic, name), method, NAMED[method, path][0](clinic))


@pytest.mark.parametrize(("method", "path", "name"), named(FOREIGNERS))
def test_wrong_clinic_cannot_tell_it_from_an_absent_one(
    clinic: Clinic, elsewhere: Clinic, method: str, path: str, name: str
) -> None:
    _assert_like_absent(getattr(elsewhere, name), method, NAMED[method, path][0](clinic))


def _assert_like_absent(person: Any, method: str, request: dict[str, Any]) -> None:
    same_id = {"headers": {"X-Request-ID": "the-same-request"}, "expect": 404}
    refused = person.sends(method, **request, **same_id)
    absent = person.sends(method, **_absent(request), **same_id)
    assert refused.content == absent.content
    assert refused.headers == absent.headers


def _absent(request: dict[str, Any]) -> dict[str, Any]:
    """The same request for a record that nobody has."""
    nobody, no_slot = str(uuid.uuid4()), 2**62
    parts = request["path"].split("/")
    if any(map(_is_id, parts)):
        id = str(no_slot) if parts[1] == "availability" else nobody
        return {**request, "path": "/".join(id if _is_id(part) else part for part in parts)}
    body = {"slot_id": no_slot} if parts[1] == "bookings" else {**request["json"], "consultation_id": nobody}
    return {**request, "json": body, "key": fresh_key()}


def _is_id(part: str) -> bool:
    return part.isdigit() or len(part) == len(str(uuid.UUID(int=0)))
