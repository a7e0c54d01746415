"""`GET /prescriptions/my`."""

from typing import Any

import pytest

from tests.cast import Clinic
from tests.prescription.test_post_prescriptions import held_consultation


def prescriptions_of(clinic: Clinic, count: int = 3) -> list[dict[str, Any]]:
    """What Dora prescribed to Paul, newest first."""
    return [clinic.dora.prescribes(held_consultation(clinic), expect=201).json() for _ in range(count)][::-1]


@pytest.mark.parametrize("name", ["paul", "dora"])
def test_newest_comes_first(clinic: Clinic, name: str) -> None:
    prescriptions = prescriptions_of(clinic)
    page = getattr(clinic, name).gets("/prescriptions/my", expect=200).json()
    assert page == {"items": prescriptions, "next_cursor": None}


@pytest.mark.parametrize("name", ["petra", "dev"])
def test_list_holds_own_prescriptions_only(clinic: Clinic, name: str) -> None:
    prescriptions_of(clinic, count=1)
    assert getattr(clinic, name).gets("/prescriptions/my", expect=200).json()["items"] == []


@pytest.mark.parametrize("name", ["paul", "dora"])
def test_pages_are_stable_under_inserts(clinic: Clinic, name: str) -> None:
    prescriptions, person = prescriptions_of(clinic, count=3), getattr(clinic, name)
    first = person.gets("/prescriptions/my?limit=2", expect=200).json()
    prescriptions_of(clinic, count=1)
    rest = person.gets("/prescriptions/my", params={"limit": 2, "cursor": first["next_cursor"]}, expect=200).json()
    assert first["items"] + rest["items"] == prescriptions
    assert rest["next_cursor"] is None


def test_cursor_of_another_caller_is_400(clinic: Clinic) -> None:
    prescriptions_of(clinic, count=2)
    cursor = clinic.paul.gets("/prescriptions/my?limit=1", expect=200).json()["next_cursor"]
    refused = clinic.dora.gets("/prescriptions/my", params={"cursor": cursor}, expect=400)
    assert refused.json()["code"] == "invalid_cursor"


@pytest.mark.parametrize("cursor", ["x", "AAAA", "", "é", "A" * 400])
def test_damaged_cursor_is_400(clinic: Clinic, cursor: str) -> None:
    refused = clinic.paul.gets("/prescriptions/my", params={"cursor": cursor}, expect=400)
    assert refused.json()["code"] == "invalid_cursor"


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=1.0", "patient_id=x", "status=issued"])
def test_bad_query_is_422(clinic: Clinic, query: str) -> None:
    assert clinic.paul.gets(f"/prescriptions/my?{query}", expect=422).json()["code"] == "validation_error"


def test_doctors_list_leaves_a_row_for_each_patient_on_the_page(clinic: Clinic) -> None:
    prescriptions = prescriptions_of(clinic, count=2)
    clinic.paul.gets("/prescriptions/my", expect=200)
    assert clinic.amara.audit_rows(action="prescription.listed") == []
    clinic.dora.gets("/prescriptions/my", expect=200)
    [row] = clinic.amara.audit_rows(action="prescription.listed")
    assert row["details"] == {"ids": [prescription["id"] for prescription in prescriptions]}
    assert clinic.paul.accesses()[0]["id"] == row["id"]


def test_doctors_empty_list_leaves_no_row(clinic: Clinic) -> None:
    clinic.dora.gets("/prescriptions/my", expect=200)
    assert clinic.amara.audit_rows(action="prescription.listed") == []
