"""`GET /prescriptions/{id}`."""

import uuid
from typing import Any

import pytest

from tests.cast import Clinic
from tests.prescription.test_post_prescriptions import held_consultation


def prescription_of(clinic: Clinic) -> dict[str, Any]:
    """What Dora prescribed to Paul."""
    return dict(clinic.dora.prescribes(held_consultation(clinic), expect=201).json())


@pytest.mark.parametrize("name", ["paul", "dora"])
def test_its_patient_and_its_doctor_read_it(clinic: Clinic, name: str) -> None:
    prescription = prescription_of(clinic)
    assert getattr(clinic, name).gets(f"/prescriptions/{prescription['id']}", expect=200).json() == prescription


def test_admin_gets_403(clinic: Clinic) -> None:
    prescription = prescription_of(clinic)
    for path in (f"/prescriptions/{prescription['id']}", f"/prescriptions/{uuid.uuid4()}", "/prescriptions/my"):
        assert clinic.amara.gets(path, expect=403).json()["code"] == "forbidden"


@pytest.mark.parametrize("name", ["petra", "dev"])
def test_stranger_gets_404_like_for_an_absent_one(clinic: Clinic, name: str) -> None:
    prescription, stranger = prescription_of(clinic), getattr(clinic, name)
    refused = stranger.gets(f"/prescriptions/{prescription['id']}", expect=404).json()
    absent = stranger.gets(f"/prescriptions/{uuid.uuid4()}", expect=404).json()
    assert {**refused, "request_id": ""} == {**absent, "request_id": ""}


@pytest.mark.parametrize("name", ["paul", "dora"])
def test_people_of_another_clinic_get_404(clinic: Clinic, elsewhere: Clinic, name: str) -> None:
    getattr(elsewhere, name).gets(f"/prescriptions/{prescription_of(clinic)['id']}", expect=404)


@pytest.mark.parametrize("id", ["1", "x", "%20"])
def test_malformed_id_is_404(clinic: Clinic, id: str) -> None:
    assert clinic.paul.gets(f"/prescriptions/{id}", expect=404).json()["code"] == "not_found"


def test_read_of_another_persons_record_leaves_a_row(clinic: Clinic) -> None:
    prescription = prescription_of(clinic)
    clinic.paul.gets(f"/prescriptions/{prescription['id']}", expect=200)
    clinic.dora.gets(f"/prescriptions/{prescription['id']}", expect=200)
    [row] = clinic.amara.audit_rows(action="prescription.read")
    assert (row["entity_id"], row["actor_id"], row["outcome"]) == (prescription["id"], clinic.dora.id, "success")
