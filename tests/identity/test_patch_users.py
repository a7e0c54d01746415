"""`PATCH /users/{id}`: what an admin changes is in force everywhere within a second."""

from typing import Any

import psycopg
import pytest
from httpx2 import Response

from tests.cast import PASSWORD, Clinic, Person
from tests.patience import assert_refused_within_a_second, assert_still_admitted_after_a_second, at_once


def change(clinic: Clinic, person: Person, /, *, expect: int = 200, **changes: Any) -> Response:
    return clinic.amara.patches(f"/users/{person.id}", changes, expect=expect)


def login_status(person: Person) -> int:
    body = {"email": person.email, "password": PASSWORD, "clinic": person.clinic.slug}
    return person.clinic.nobody.posts("/auth/login", body).status_code


def refreshes(person: Person) -> Person:
    body = {"refresh_token": person.refresh_token}
    tokens = person.clinic.nobody.posts("/auth/refresh", body, expect=200).json()
    person.token, person.refresh_token = tokens["access_token"], tokens["refresh_token"]
    return person


def test_deactivated_user_is_refused_within_a_second(clinic: Clinic) -> None:
    at_home = clinic.paul.in_another_session()
    assert change(clinic, clinic.paul, is_active=False).json()["is_active"] is False
    assert_refused_within_a_second(clinic.paul)
    assert at_home.gets("/users/me", expect=401).json()["code"] == "unauthenticated"
    assert login_status(clinic.paul) == 401


def test_reactivated_user_logs_in_but_old_tokens_stay_void(clinic: Clinic) -> None:
    change(clinic, clinic.paul, is_active=False)
    assert_refused_within_a_second(clinic.paul)
    change(clinic, clinic.paul, is_active=True)
    assert login_status(clinic.paul) == 200
    clinic.paul.gets("/users/me", expect=401)
    clinic.nobody.posts("/auth/refresh", {"refresh_token": clinic.paul.refresh_token}, expect=401)
    clinic.paul.logs_in().gets("/users/me", expect=200)


def test_new_role_voids_the_old_token_within_a_second(clinic: Clinic) -> None:
    assert change(clinic, clinic.paul, role="doctor").json()["role"] == "doctor"
    assert_refused_within_a_second(clinic.paul)


def test_refresh_gives_a_token_of_the_new_role(clinic: Clinic) -> None:
    change(clinic, clinic.paul, role="doctor")
    assert_refused_within_a_second(clinic.paul)
    assert refreshes(clinic.paul).gets("/users/me", expect=200).json()["role"] == "doctor"
    clinic.paul.offers()
    clinic.paul.books(1, expect=403)


def test_token_taken_at_once_after_the_change_is_good(clinic: Clinic) -> None:
    change(clinic, clinic.paul, role="doctor")
    assert_still_admitted_after_a_second(refreshes(clinic.paul))


@pytest.mark.parametrize("changes", [{"full_name": "Dora Two"}, {"role": "doctor"}, {"is_active": True}, {}])
def test_change_of_nothing_that_matters_voids_no_token(clinic: Clinic, changes: dict[str, Any]) -> None:
    assert clinic.dora.token
    change(clinic, clinic.dora, **changes)
    assert_still_admitted_after_a_second(clinic.dora)


def test_what_is_left_out_stays(clinic: Clinic) -> None:
    before = clinic.dora.gets("/users/me", expect=200).json()
    assert change(clinic, clinic.dora).json() == before
    assert change(clinic, clinic.dora, full_name="Dora Two").json() == {**before, "full_name": "Dora Two"}


def test_specialty_of_a_doctor_is_set_and_cleared(clinic: Clinic) -> None:
    assert change(clinic, clinic.dora, specialty="Cardiology").json()["specialty"] == "Cardiology"
    assert change(clinic, clinic.dora, specialty=None).json()["specialty"] is None


def test_new_doctor_gets_a_specialty_with_the_role(clinic: Clinic) -> None:
    refused = change(clinic, clinic.paul, specialty="Cardiology", expect=422)
    assert [error["field"] for error in refused.json()["errors"]] == ["body.specialty"]
    user = change(clinic, clinic.paul, specialty="Cardiology", role="doctor").json()
    assert (user["role"], user["specialty"]) == ("doctor", "Cardiology")


def test_former_doctor_loses_the_specialty(clinic: Clinic) -> None:
    refused = change(clinic, clinic.dora, role="patient", specialty="Cardiology", expect=422)
    assert refused.json()["code"] == "validation_error"
    user = change(clinic, clinic.dora, role="patient").json()
    assert (user["role"], user["specialty"]) == ("patient", None)


@pytest.mark.parametrize("settled", [None, "completes", "cancels"])
@pytest.mark.parametrize(("name", "role"), [("paul", "doctor"), ("paul", "admin"), ("dora", "patient")])
def test_role_of_somebody_with_consultations_stays(clinic: Clinic, name: str, role: str, settled: str | None) -> None:
    consultation = clinic.paul.has_booked(clinic.dora.offers())
    if settled:
        getattr(clinic.dora, settled)(consultation, expect=200)
    person = getattr(clinic, name)
    refused = change(clinic, person, role=role, full_name="Somebody Else", expect=409)
    assert refused.json()["code"] == "user_has_history"
    me = person.gets("/users/me", expect=200).json()
    assert (me["full_name"], me["role"]) == (f"{name.title()} Test", "patient" if name == "paul" else "doctor")


def test_somebody_with_consultations_can_be_deactivated_and_renamed(clinic: Clinic) -> None:
    clinic.paul.has_booked(clinic.dora.offers())
    for person in (clinic.paul, clinic.dora):
        assert change(clinic, person, is_active=False, full_name="Gone").json()["full_name"] == "Gone"


def test_database_itself_keeps_the_role(clinic: Clinic, as_application: psycopg.Connection) -> None:
    clinic.paul.has_booked(clinic.dora.offers())
    for person, role in ((clinic.paul, "doctor"), (clinic.dora, "patient")):
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            as_application.execute("UPDATE users SET role = %s, specialty = NULL WHERE id = %s", [role, person.id])


def test_booking_and_change_of_role_never_both_happen(clinic: Clinic) -> None:
    slots = [clinic.dora.offers() for _ in range(8)]
    patients = [clinic.hires(f"patient{number}", role="patient") for number in range(8)]
    for slot, patient in zip(slots, patients, strict=True):
        path = f"/users/{patient.id}"
        booked, changed = at_once(
            [
                lambda patient=patient, slot=slot: patient.books(slot),
                lambda path=path: clinic.amara.patches(path, {"role": "admin"}),
            ]
        )
        assert (booked.status_code, changed.status_code) in ((201, 409), (401, 200)), (booked.text, changed.text)


def test_user_of_another_clinic_is_like_one_who_does_not_exist(clinic: Clinic, elsewhere: Clinic) -> None:
    nobody = "0198c0de-7a3f-7c11-9d2e-5b1f0a6c4e21"
    refusals = [
        clinic.amara.patches(f"/users/{id}", {"full_name": "x"}, expect=404).json()
        for id in (elsewhere.paul.id, elsewhere.amara.id, nobody)
    ]
    assert [{**refusal, "request_id": ""} for refusal in refusals] == [{**refusals[0], "request_id": ""}] * 3
    assert elsewhere.paul.gets("/users/me", expect=200).json()["full_name"] == "Paul Test"


@pytest.mark.parametrize("id", ["1", "0198c0de", "0198c0de7a3f7c119d2e5b1f0a6c4e21", "%00", "null"])
def test_malformed_id_is_404(clinic: Clinic, id: str) -> None:
    assert clinic.amara.patches(f"/users/{id}", {"full_name": "x"}, expect=404).json()["code"] == "not_found"


@pytest.mark.parametrize("name", ["dora", "paul"])
def test_nobody_else_changes_users(clinic: Clinic, name: str) -> None:
    person = getattr(clinic, name)
    for id in (person.id, clinic.amara.id, "no-id"):
        assert person.patches(f"/users/{id}", {"role": "admin"}, expect=403).json()["code"] == "forbidden"
    rows = clinic.amara.audit_rows(action="request.denied", actor_id=person.id)
    assert [row["details"] for row in rows] == [{"method": "PATCH", "route": "/users/{id}"}] * 3


@pytest.mark.parametrize(
    "changes",
    [
        {"is_active": None},
        {"is_active": "false"},
        {"is_active": 0},
        {"role": None},
        {"role": "nurse"},
        {"full_name": None},
        {"specialty": " "},
        {"email": "other@clinic.test"},
        {"password": PASSWORD},
        {"time_zone": "UTC"},
    ],
)
def test_bad_change_is_422_and_changes_nothing(clinic: Clinic, changes: dict[str, Any]) -> None:
    before = clinic.dora.gets("/users/me", expect=200).json()
    refused = change(clinic, clinic.dora, expect=422, **changes)
    assert [error["field"] for error in refused.json()["errors"]] == [f"body.{name}" for name in changes]
    assert clinic.dora.gets("/users/me", expect=200).json() == before


def test_change_leaves_an_audit_row(clinic: Clinic) -> None:
    response = change(clinic, clinic.paul, is_active=False, full_name="Gone")
    [row] = clinic.amara.audit_rows(action="user.updated")
    assert (row["actor_id"], row["actor_role"], row["entity_id"]) == (clinic.amara.id, "admin", clinic.paul.id)
    assert row["details"] == {"fields": ["full_name", "is_active"]}
    assert row["request_id"] == response.headers["x-request-id"]


def test_refused_change_leaves_no_row_of_a_change(clinic: Clinic) -> None:
    clinic.paul.has_booked(clinic.dora.offers())
    change(clinic, clinic.paul, role="doctor", expect=409)
    assert clinic.amara.audit_rows(action="user.updated") == []
