"""`GET /consultations/my` and `GET /consultations/`: whose, which, and page by page."""

from datetime import timedelta
from typing import Any

import pytest

from tests.cast import Clinic, Person, iso, tomorrow

BOTH = [("paul", "/consultations/my"), ("dora", "/consultations/my"), ("amara", "/consultations/")]


def consultations_of(clinic: Clinic, hours: int = 4) -> list[dict[str, Any]]:
    """Paul's consultations with Dora, an hour apart, newest start first as every list tells them."""
    slots = [clinic.dora.offers(tomorrow() + timedelta(hours=hour)) for hour in range(hours)]
    return [clinic.paul.has_booked(slot) for slot in slots][::-1]


def pages_of(person: Person, path: str, **params: Any) -> list[list[dict[str, Any]]]:
    """All pages, to the last one."""
    pages, cursor = [], None
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = person.gets(path, params={**params, **more}, expect=200).json()
        pages.append(page["items"])
        cursor = page["next_cursor"]
        if cursor is None:
            return pages


@pytest.mark.parametrize(("name", "path"), BOTH)
def test_newest_start_comes_first(clinic: Clinic, name: str, path: str) -> None:
    consultations = consultations_of(clinic)
    assert pages_of(getattr(clinic, name), path) == [consultations]


@pytest.mark.parametrize("name", ["petra", "dev"])
def test_own_list_holds_own_consultations_only(clinic: Clinic, name: str) -> None:
    consultations_of(clinic, hours=1)
    assert pages_of(getattr(clinic, name), "/consultations/my") == [[]]


def test_admin_sees_only_the_own_clinic(clinic: Clinic, elsewhere: Clinic) -> None:
    consultations_of(clinic, hours=1)
    assert pages_of(elsewhere.amara, "/consultations/") == [[]]
    assert pages_of(elsewhere.amara, "/consultations/", doctor_id=clinic.dora.id) == [[]]


@pytest.mark.parametrize(
    ("name", "path"), [("amara", "/consultations/my"), ("paul", "/consultations/"), ("dora", "/consultations/")]
)
def test_wrong_role_gets_403(clinic: Clinic, name: str, path: str) -> None:
    assert getattr(clinic, name).gets(path, expect=403).json()["code"] == "forbidden"


@pytest.mark.parametrize(("name", "path"), BOTH)
def test_status_filters(clinic: Clinic, name: str, path: str) -> None:
    scheduled, completed, cancelled = consultations_of(clinic, hours=3)
    completed = clinic.dora.completes(completed).json()
    cancelled = clinic.paul.cancels(cancelled).json()
    for consultation in (scheduled, completed, cancelled):
        assert pages_of(getattr(clinic, name), path, status=consultation["status"]) == [[consultation]]


@pytest.mark.parametrize(("name", "path"), BOTH)
def test_window_is_half_open(clinic: Clinic, name: str, path: str) -> None:
    consultations = consultations_of(clinic)
    window = {"from": consultations[2]["starts_at"], "to": consultations[0]["starts_at"]}
    assert pages_of(getattr(clinic, name), path, **window) == [consultations[1:3]]


def test_window_takes_any_offset(clinic: Clinic) -> None:
    consultations = consultations_of(clinic)
    start = (tomorrow() + timedelta(hours=2 + 5, minutes=30)).replace(tzinfo=None).isoformat() + "+05:30"
    assert pages_of(clinic.paul, "/consultations/my", **{"from": start}) == [consultations[:2]]


def test_admin_filters_by_doctor_and_patient(clinic: Clinic) -> None:
    [paul_dora] = consultations_of(clinic, hours=1)
    petra_dev = clinic.petra.has_booked(clinic.dev.offers(tomorrow() - timedelta(hours=1)))
    for consultation in (paul_dora, petra_dev):
        for who in ("doctor_id", "patient_id"):
            assert pages_of(clinic.amara, "/consultations/", **{who: consultation[who]}) == [[consultation]]
    nobody = {"doctor_id": paul_dora["doctor_id"], "patient_id": petra_dev["patient_id"]}
    assert pages_of(clinic.amara, "/consultations/", **nobody) == [[]]


@pytest.mark.parametrize(("name", "path"), BOTH)
def test_pages_hold_every_consultation_once(clinic: Clinic, name: str, path: str) -> None:
    consultations = consultations_of(clinic, hours=5)
    pages = pages_of(getattr(clinic, name), path, limit=2)
    assert pages == [consultations[0:2], consultations[2:4], consultations[4:]]


def test_full_last_page_has_no_next_one(clinic: Clinic) -> None:
    consultations = consultations_of(clinic, hours=2)
    assert pages_of(clinic.paul, "/consultations/my", limit=2) == [consultations]


def test_equal_starts_are_split_by_a_page_without_loss(clinic: Clinic) -> None:
    starts_at = tomorrow()
    doctors = [clinic.hires(f"doctor-{number}", role="doctor") for number in range(3)]
    patients = [clinic.hires(f"patient-{number}", role="patient") for number in range(3)]
    pairs = zip(patients, doctors, strict=True)
    booked = {patient.has_booked(doctor.offers(starts_at))["id"] for patient, doctor in pairs}
    pages = pages_of(clinic.amara, "/consultations/", limit=1)
    assert len(pages) == 3
    assert {page[0]["id"] for page in pages} == booked


def test_pages_are_stable_under_inserts(clinic: Clinic) -> None:
    consultations = consultations_of(clinic, hours=4)
    first = clinic.paul.gets("/consultations/my", params={"limit": 2}, expect=200).json()
    newer = clinic.dora.offers(tomorrow() + timedelta(hours=9))
    older = clinic.dora.offers(tomorrow() - timedelta(hours=9))
    clinic.paul.has_booked(newer)
    oldest = clinic.paul.has_booked(older)
    rest = clinic.paul.gets("/consultations/my", params={"cursor": first["next_cursor"]}, expect=200).json()
    assert first["items"] + rest["items"] == [*consultations, oldest]


def test_cursor_of_another_caller_filter_or_list_is_400(clinic: Clinic) -> None:
    consultations_of(clinic, hours=2)
    cursor = clinic.paul.gets("/consultations/my?limit=1", expect=200).json()["next_cursor"]
    assert clinic.paul.gets("/consultations/my", params={"cursor": cursor}, expect=200).json()["items"]
    for person, path, more in [
        (clinic.dora, "/consultations/my", {}),
        (clinic.paul, "/consultations/my", {"status": "scheduled"}),
        (clinic.paul, "/consultations/my", {"from": iso(tomorrow())}),
        (clinic.paul, "/prescriptions/my", {}),
        (clinic.amara, "/consultations/", {}),
    ]:
        refused = person.gets(path, params={"cursor": cursor, **more}, expect=400)
        assert refused.json()["code"] == "invalid_cursor"


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=x", "limit=", "status=open", "from=2030-01-01T00:00:00", "to=yesterday",
     "from=2030-13-01T00:00:00Z", "patient=1", "limit=1&limit=2", "doctor_id=00000000-0000-7000-8000-000000000000"],
)  # fmt: skip
def test_bad_query_of_the_own_list_is_422(clinic: Clinic, query: str) -> None:
    assert clinic.paul.gets(f"/consultations/my?{query}", expect=422).json()["code"] == "validation_error"


@pytest.mark.parametrize("query", ["doctor_id=1", "patient_id=x", "status=", "sort=starts_at"])
def test_bad_query_of_the_clinics_list_is_422(clinic: Clinic, query: str) -> None:
    assert clinic.amara.gets(f"/consultations/?{query}", expect=422).json()["code"] == "validation_error"


def test_list_of_other_peoples_records_leaves_a_row(clinic: Clinic) -> None:
    consultations = consultations_of(clinic, hours=2)
    clinic.amara.gets("/consultations/?status=scheduled", expect=200)
    [row] = clinic.amara.audit_rows(action="consultation.listed")
    assert (row["actor_id"], row["entity_type"], row["entity_id"]) == (clinic.amara.id, "consultation", None)
    assert row["details"] == {"filters": {"status": "scheduled"}, "ids": [one["id"] for one in consultations]}


def test_list_leaves_a_row_for_each_patient_on_the_page_and_no_other(clinic: Clinic) -> None:
    starts_at = tomorrow()
    for hour, patient in enumerate([clinic.petra, clinic.paul, clinic.paul]):
        patient.has_booked(clinic.dora.offers(starts_at + timedelta(hours=hour)))
    clinic.amara.gets("/consultations/?limit=2", expect=200)
    [row] = clinic.amara.audit_rows(action="consultation.listed")
    assert [access["id"] for access in clinic.paul.accesses() if access["action"] == row["action"]] == [row["id"]]
    assert len(row["details"]["ids"]) == 2
    clinic.amara.gets("/consultations/?limit=3", expect=200)
    assert len(clinic.amara.audit_rows(action="consultation.listed")) == 3
    assert len([access for access in clinic.petra.accesses() if access["action"] == row["action"]]) == 1


def test_search_that_finds_nothing_leaves_a_row_too(clinic: Clinic) -> None:
    clinic.amara.gets("/consultations/?status=cancelled", expect=200)
    [row] = clinic.amara.audit_rows(action="consultation.listed")
    assert row["details"] == {"filters": {"status": "cancelled"}}


def test_own_list_leaves_no_row(clinic: Clinic) -> None:
    """A doctor's is the doctor's timetable: see docs/decisions/0019."""
    consultations_of(clinic, hours=1)
    for person in (clinic.paul, clinic.dora):
        person.gets("/consultations/my", expect=200)
    assert clinic.amara.audit_rows(action="consultation.listed") == []
