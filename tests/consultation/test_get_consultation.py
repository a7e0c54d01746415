"""`GET /consultations/{id}`."""

import uuid

import pytest

from tests.cast import Clinic


@pytest.mark.parametrize("name", ["paul", "dora", "amara"])
def test_those_concerned_read_it(clinic: Clinic, name: str) -> None:
    consultation = clinic.paul.has_booked(clinic.dora.offers())
    answer = getattr(clinic, name).gets(f"/consultations/{consultation['id']}", expect=200)
    assert answer.json() == consultation
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("name", ["petra", "dev"])
def test_stranger_gets_404_like_for_an_absent_one(clinic: Clinic, name: str) -> None:
    consultation, stranger = clinic.paul.has_booked(clinic.dora.offers()), getattr(clinic, name)
    refused = stranger.gets(f"/consultations/{consultation['id']}", expect=404).json()
    absent = stranger.gets(f"/consultations/{uuid.uuid4()}", expect=404).json()
    assert {**refused, "request_id": ""} == {**absent, "request_id": ""}


@pytest.mark.parametrize("name", ["paul", "dora", "amara"])
def test_people_of_another_clinic_get_404(clinic: Clinic, elsewhere: Clinic, name: str) -> None:
    consultation = clinic.paul.has_booked(clinic.dora.offers())
    getattr(elsewhere, name).gets(f"/consultations/{consultation['id']}", expect=404)


@pytest.mark.parametrize("id", ["1", "x", "0", "00000000000000000000000000000000", "%20"])
def test_malformed_id_is_404(clinic: Clinic, id: str) -> None:
    assert clinic.paul.gets(f"/consultations/{id}", expect=404).json()["code"] == "not_found"


def test_query_parameter_is_422(clinic: Clinic) -> None:
    consultation = clinic.paul.has_booked(clinic.dora.offers())
    clinic.paul.gets(f"/consultations/{consultation['id']}?expand=doctor", expect=422)


@pytest.mark.parametrize(("name", "role"), [("amara", "admin"), ("dora", "doctor")])
def test_read_of_another_persons_record_leaves_a_row(clinic: Clinic, name: str, role: str) -> None:
    consultation, reader = clinic.paul.has_booked(clinic.dora.offers()), getattr(clinic, name)
    reader.gets(f"/consultations/{consultation['id']}", expect=200)
    [row] = clinic.amara.audit_rows(action="consultation.read")
    assert (row["entity_id"], row["actor_id"], row["actor_role"]) == (consultation["id"], reader.id, role)
    assert (row["entity_type"], row["outcome"]) == ("consultation", "success")


def test_read_of_ones_own_record_leaves_no_row(clinic: Clinic) -> None:
    consultation = clinic.paul.has_booked(clinic.dora.offers())
    clinic.paul.gets(f"/consultations/{consultation['id']}", expect=200)
    assert clinic.amara.audit_rows(action="consultation.read") == []
