"""One deployment, many clinics: nothing of another one can be seen, named or referred to."""

from typing import Any

import pytest

from tests.cast import PASSWORD, Clinic, Person

STRANGER = "0198c0de-7a3f-7c11-9d2e-5b1f0a6c4e21"


def registration(**changes: Any) -> dict[str, Any]:
    return {"email": "rita@clinic.test", "password": PASSWORD, "full_name": "Rita New", **changes}


def without_request_id(answer: dict[str, Any]) -> dict[str, Any]:
    return {**answer, "request_id": ""}


def test_one_email_may_have_an_account_in_each_clinic(clinic: Clinic, elsewhere: Clinic) -> None:
    ids = {
        place.nobody.posts("/auth/register", registration(clinic=place.slug), expect=201).json()["id"]
        for place in (clinic, elsewhere)
    }
    assert len(ids) == 2
    ritas = [Person(place, email="rita@clinic.test").logs_in() for place in (clinic, elsewhere)]
    assert {rita.id for rita in ritas} == ids


def test_password_of_one_clinic_opens_no_other(clinic: Clinic, elsewhere: Clinic) -> None:
    clinic.hires("rita", role="patient", password="walnut-harbour-lamp")
    elsewhere.hires("rita", role="patient")
    body = {"email": "rita@clinic.test", "password": "walnut-harbour-lamp", "clinic": elsewhere.slug}
    assert clinic.nobody.posts("/auth/login", body, expect=401).json()["code"] == "invalid_credentials"


def test_new_password_or_deactivation_stays_in_its_clinic(clinic: Clinic, elsewhere: Clinic) -> None:
    clinic.amara.patches(f"/users/{clinic.paul.id}", {"is_active": False}, expect=200)
    elsewhere.paul.gets("/users/me", expect=200)
    elsewhere.paul.logs_in()


@pytest.mark.parametrize("slug", ["no-such-clinic", "", "MAIN", " main", "%", "1"])
def test_unknown_clinic_is_404_on_register_and_401_on_login(clinic: Clinic, slug: str) -> None:
    refused = clinic.nobody.posts("/auth/register", registration(clinic=slug), expect=404)
    assert refused.json()["code"] == "not_found"
    body = {"email": "amara@clinic.test", "password": PASSWORD, "clinic": slug}
    assert clinic.nobody.posts("/auth/login", body, expect=401).json()["code"] == "invalid_credentials"
    form = {"username": "amara@clinic.test", "password": PASSWORD, "clinic": slug}
    assert clinic.nobody.posts("/auth/token", data=form, expect=401).json()["code"] == "invalid_credentials"


def test_clinic_left_out_is_main(clinic: Clinic) -> None:
    email = f"{clinic.slug}@clinic.test"
    clinic.nobody.posts("/auth/register", registration(email=email), expect=201)
    clinic.nobody.posts("/auth/register", registration(email=email, clinic="main"), expect=409)
    clinic.nobody.posts("/auth/login", {"email": email, "password": PASSWORD}, expect=200)
    clinic.nobody.posts("/auth/token", data={"username": email, "password": PASSWORD}, expect=200)
    clinic.nobody.posts("/auth/login", {"email": email, "password": PASSWORD, "clinic": clinic.slug}, expect=401)


def test_lists_show_nothing_of_another_clinic(clinic: Clinic, elsewhere: Clinic) -> None:
    elsewhere.paul.has_booked(elsewhere.dora.offers())
    elsewhere.dora.offers()
    assert clinic.amara.gets("/doctors/", expect=200).json()["items"] == []
    assert clinic.amara.gets("/availability/", expect=200).json()["items"] == []
    assert clinic.amara.gets("/availability/?status=booked", expect=200).json()["items"] == []
    assert clinic.amara.gets(f"/availability/?doctor_id={elsewhere.dora.id}", expect=200).json()["items"] == []
    assert clinic.amara.gets("/consultations/", expect=200).json()["items"] == []
    ours = {clinic.amara.id}
    assert {user["id"] for user in clinic.amara.gets("/users/", expect=200).json()["items"]} == ours
    assert {row["actor_id"] for row in clinic.amara.audit_rows()} <= {*ours, None}


def test_doctor_of_another_clinic_is_like_one_who_does_not_exist(clinic: Clinic, elsewhere: Clinic) -> None:
    theirs = clinic.paul.gets(f"/doctors/{elsewhere.dora.id}", expect=404).json()
    nobody = clinic.paul.gets(f"/doctors/{STRANGER}", expect=404).json()
    assert without_request_id(theirs) == without_request_id(nobody)


def test_slot_of_another_clinic_is_like_one_that_does_not_exist(clinic: Clinic, elsewhere: Clinic) -> None:
    slot = elsewhere.dora.offers()
    for person in (clinic.amara, clinic.dora):
        theirs = person.deletes(f"/availability/{slot['id']}", expect=404).json()
        nothing = person.deletes("/availability/9223372036854775807", expect=404).json()
        assert without_request_id(theirs) == without_request_id(nothing)
    assert clinic.paul.books(slot, expect=404).json()["code"] == "slot_not_found"
    elsewhere.paul.books(slot, expect=201)


def test_consultation_of_another_clinic_is_like_one_that_does_not_exist(clinic: Clinic, elsewhere: Clinic) -> None:
    consultation = elsewhere.paul.has_booked(elsewhere.dora.offers())
    for person in (clinic.amara, clinic.dora, clinic.paul):
        theirs = person.gets(f"/consultations/{consultation['id']}", expect=404).json()
        nothing = person.gets(f"/consultations/{STRANGER}", expect=404).json()
        assert without_request_id(theirs) == without_request_id(nothing)


def test_doctors_of_two_clinics_may_work_at_one_time(clinic: Clinic, elsewhere: Clinic) -> None:
    slot = clinic.dora.offers()
    body = {"starts_at": slot["starts_at"], "ends_at": slot["ends_at"]}
    elsewhere.dora.posts("/availability/", body, expect=201)


def test_failed_login_is_told_to_the_named_clinic_only(clinic: Clinic, elsewhere: Clinic) -> None:
    body = {"email": elsewhere.amara.email, "password": "plum-tractor-kettle", "clinic": elsewhere.slug}
    clinic.nobody.posts("/auth/login", body, expect=401)
    assert clinic.amara.audit_rows(action="user.login_failed") == []
    assert len(elsewhere.amara.audit_rows(action="user.login_failed")) == 1
