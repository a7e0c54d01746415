"""What a doctor with a break-glass grant may read, for how long, and the traces that it leaves."""

import uuid
from typing import Any

import psycopg
import pytest

from tests.breakglass.emergency import an_hour_passes, record_of_paul
from tests.cast import Clinic, Person
from tests.consultation.test_get_consultations import consultations_of, pages_of

LISTS = ["consultations", "prescriptions"]


def paths_of(clinic: Clinic) -> dict[str, dict[str, Any] | list[dict[str, Any]]]:
    """Paul's record: each address, and what is there."""
    consultation, prescription = record_of_paul(clinic)
    return {
        f"/consultations/{consultation['id']}": consultation,
        f"/prescriptions/{prescription['id']}": prescription,
        f"/patients/{clinic.paul.id}/consultations": [consultation],
        f"/patients/{clinic.paul.id}/prescriptions": [prescription],
    }


def read(person: Person, path: str) -> Any:
    answer = person.gets(path, expect=200).json()
    return answer["items"] if "next_cursor" in answer else answer


def assert_closed(person: Person, paths: dict[str, Any]) -> None:
    """Each is 404, like what does not exist."""
    for path in paths:
        parts = [str(uuid.uuid4()) if len(part) == 36 else part for part in path.split("/")]
        same = {"headers": {"X-Request-ID": "the-same-one"}, "expect": 404}
        assert person.gets(path, **same).content == person.gets("/".join(parts), **same).content


def test_grant_opens_the_whole_record_to_this_doctor_alone(clinic: Clinic) -> None:
    paths = paths_of(clinic)
    assert_closed(clinic.dev, paths)
    clinic.dev.has_opened(clinic.paul)
    assert {path: read(clinic.dev, path) for path in paths} == paths
    assert_closed(clinic.hires("dan", role="doctor"), paths)


def test_grant_opens_nobody_elses_record(clinic: Clinic) -> None:
    paths = paths_of(clinic)
    clinic.dev.has_opened(clinic.petra)
    assert_closed(clinic.dev, paths)


def test_after_an_hour_it_is_closed(clinic: Clinic, owner: psycopg.Connection) -> None:
    paths = paths_of(clinic)
    clinic.dev.has_opened(clinic.paul)
    an_hour_passes(owner, clinic)
    assert_closed(clinic.dev, paths)
    clinic.dev.has_opened(clinic.paul, "Again")
    assert {path: read(clinic.dev, path) for path in paths} == paths


@pytest.mark.parametrize("change", ["is_active = false", "role = 'admin', specialty = NULL"])
def test_who_is_no_working_doctor_any_more_reads_nothing(
    clinic: Clinic, owner: psycopg.Connection, change: str
) -> None:
    """In the statement that reads, before any process has heard that the token is void."""
    paths = paths_of(clinic)
    clinic.dev.has_opened(clinic.paul)
    update = f"UPDATE users SET {change} WHERE clinic_id = %s AND id = %s"
    owner.execute(update.encode(), [clinic.id, clinic.dev.id])
    assert_closed(clinic.dev, paths)


def test_every_read_leaves_a_row_that_names_the_grant(clinic: Clinic) -> None:
    paths = paths_of(clinic)
    consultation, prescription = [*paths.values()][:2]
    grant = clinic.dev.has_opened(clinic.paul)
    for path in paths:
        clinic.dev.gets(path, expect=200)
    rows = clinic.amara.audit_rows(actor_id=clinic.dev.id)[:4][::-1]
    told = {"grant_id": grant["id"]}
    assert [(row["action"], row["entity_id"], row["details"]) for row in rows] == [
        ("consultation.read", consultation["id"], told),
        ("prescription.read", prescription["id"], told),
        ("consultation.listed", None, told | {"ids": [consultation["id"]]}),
        ("prescription.listed", None, told | {"ids": [prescription["id"]]}),
    ]


@pytest.mark.parametrize("name", LISTS)
def test_refused_read_leaves_no_row(clinic: Clinic, name: str) -> None:
    record_of_paul(clinic)
    clinic.dev.gets(f"/patients/{clinic.paul.id}/{name}", expect=404)
    assert [row["action"] for row in clinic.amara.audit_rows(actor_id=clinic.dev.id)] == ["user.logged_in"]


def test_who_has_another_reason_to_read_needs_no_grant(clinic: Clinic) -> None:
    consultation, prescription = record_of_paul(clinic)
    clinic.dora.has_opened(clinic.paul)
    clinic.dora.gets(f"/consultations/{consultation['id']}", expect=200)
    clinic.dora.gets(f"/prescriptions/{prescription['id']}", expect=200)
    rows = clinic.amara.audit_rows(actor_id=clinic.dora.id)[:2]
    assert [(row["action"], row["details"]) for row in rows] == [("prescription.read", {}), ("consultation.read", {})]


@pytest.mark.parametrize("name", LISTS)
def test_record_without_anything_in_it_is_an_empty_list(clinic: Clinic, name: str) -> None:
    grant = clinic.dev.has_opened(clinic.petra)
    page = clinic.dev.gets(f"/patients/{clinic.petra.id}/{name}", expect=200).json()
    assert page == {"items": [], "next_cursor": None}
    assert clinic.amara.audit_rows(actor_id=clinic.dev.id)[0]["details"] == {"grant_id": grant["id"]}


def test_lists_are_pages_like_every_list(clinic: Clinic) -> None:
    consultations = consultations_of(clinic, hours=3)
    clinic.dev.has_opened(clinic.paul)
    path = f"/patients/{clinic.paul.id}/consultations"
    assert pages_of(clinic.dev, path, limit=2) == [consultations[:2], consultations[2:]]
    assert pages_of(clinic.dev, path, status="completed") == [[]]
    window = {"from": consultations[1]["starts_at"], "to": consultations[0]["starts_at"]}
    assert pages_of(clinic.dev, path, **window) == [consultations[1:2]]


def test_prescriptions_are_pages_like_every_list(clinic: Clinic) -> None:
    prescriptions = [record_of_paul(clinic)[1] for _ in range(3)][::-1]
    clinic.dev.has_opened(clinic.paul)
    path = f"/patients/{clinic.paul.id}/prescriptions"
    assert pages_of(clinic.dev, path, limit=2) == [prescriptions[:2], prescriptions[2:]]


def test_cursor_is_good_for_its_patient_and_while_the_grant_is(clinic: Clinic, owner: psycopg.Connection) -> None:
    consultations_of(clinic, hours=2)
    for patient in (clinic.paul, clinic.petra):
        clinic.dev.has_opened(patient)
    path = f"/patients/{clinic.paul.id}/consultations"
    cursor = clinic.dev.gets(f"{path}?limit=1", expect=200).json()["next_cursor"]
    for other in (f"/patients/{clinic.petra.id}/consultations", f"/patients/{clinic.paul.id}/prescriptions"):
        refused = clinic.dev.gets(other, params={"cursor": cursor}, expect=400)
        assert refused.json()["code"] == "invalid_cursor"
    an_hour_passes(owner, clinic)
    clinic.dev.gets(path, params={"cursor": cursor, "limit": 1}, expect=404)


@pytest.mark.parametrize("query", ["limit=0", "doctor_id=x", "status=open"])
def test_bad_query_is_422(clinic: Clinic, query: str) -> None:
    clinic.dev.has_opened(clinic.paul)
    for name in LISTS:
        refused = clinic.dev.gets(f"/patients/{clinic.paul.id}/{name}?{query}", expect=422)
        assert refused.json()["code"] == "validation_error"
