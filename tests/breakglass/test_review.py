"""`GET /break-glass/` and `POST /break-glass/{id}/review`: an admin looks at every emergency, once."""

import uuid
from typing import Any

import psycopg
import pytest
from psycopg import errors

from tests.cast import Clinic
from tests.consultation.test_get_consultations import pages_of
from tests.patience import at_once


def reviews(clinic: Clinic, grant: dict[str, Any], note: str | None = None, **request: Any) -> Any:
    return clinic.amara.posts(f"/break-glass/{grant['id']}/review", {"note": note} if note else {}, **request)


def test_queue_holds_what_nobody_has_reviewed_oldest_first(clinic: Clinic) -> None:
    grants = [clinic.dev.has_opened(clinic.paul, reason) for reason in ("one", "two", "three")]
    reviews(clinic, grants[1], expect=200)
    for reviewed, expected in [("false", [0, 2]), ("true", [1])]:
        [page] = pages_of(clinic.amara, "/break-glass/", reviewed=reviewed)
        assert [item["id"] for item in page] == [grants[index]["id"] for index in expected]
    [page] = pages_of(clinic.amara, "/break-glass/")
    assert [item["reason"] for item in page] == ["one", "two", "three"]


def test_queue_tells_who_opened_whose_record_and_why(clinic: Clinic) -> None:
    grant = clinic.dev.has_opened(clinic.paul)
    [[item]] = pages_of(clinic.amara, "/break-glass/", reviewed="false")
    unreviewed = {"reviewed_at": None, "reviewed_by": None, "review_note": None}
    assert item == grant | {"doctor_id": clinic.dev.id} | unreviewed


def test_queue_is_read_page_by_page_while_it_is_worked_off(clinic: Clinic) -> None:
    grants = [clinic.dev.has_opened(clinic.paul) for _ in range(3)]
    first = clinic.amara.gets("/break-glass/?reviewed=false&limit=2", expect=200).json()
    for grant in first["items"]:
        reviews(clinic, grant, expect=200)
    rest = {"reviewed": "false", "limit": 2, "cursor": first["next_cursor"]}
    assert [item["id"] for item in clinic.amara.gets("/break-glass/", params=rest, expect=200).json()["items"]] == [
        grants[2]["id"]
    ]


def test_cursor_of_another_filter_is_400(clinic: Clinic) -> None:
    for _ in range(2):
        clinic.dev.has_opened(clinic.paul)
    cursor = clinic.amara.gets("/break-glass/?limit=1", expect=200).json()["next_cursor"]
    refused = clinic.amara.gets("/break-glass/", params={"cursor": cursor, "reviewed": "true"}, expect=400)
    assert refused.json()["code"] == "invalid_cursor"


@pytest.mark.parametrize("query", ["reviewed=maybe", "reviewed=", "limit=0", "doctor_id=x"])
def test_bad_query_is_422(clinic: Clinic, query: str) -> None:
    assert clinic.amara.gets(f"/break-glass/?{query}", expect=422).json()["code"] == "validation_error"


def test_queue_of_another_clinic_is_not_seen(clinic: Clinic, elsewhere: Clinic) -> None:
    clinic.dev.has_opened(clinic.paul)
    assert pages_of(elsewhere.amara, "/break-glass/") == [[]]


def test_admin_who_reads_the_queue_leaves_a_row_for_each_patient(clinic: Clinic) -> None:
    grants = [clinic.dev.has_opened(patient) for patient in (clinic.paul, clinic.petra)]
    clinic.amara.gets("/break-glass/?reviewed=false", expect=200)
    rows = clinic.amara.audit_rows(action="break_glass.listed")
    assert {id for row in rows for id in row["details"]["ids"]} == {grant["id"] for grant in grants}
    assert {str(row["details"]["filters"]) for row in rows} == {"{'reviewed': False}"}
    assert clinic.petra.accesses()[0]["action"] == "break_glass.listed"


@pytest.mark.parametrize("note", [None, "The ward confirms it."])
def test_review_is_kept_with_its_note(clinic: Clinic, note: str | None) -> None:
    grant = clinic.dev.has_opened(clinic.paul)
    reviewed = reviews(clinic, grant, note, expect=200).json()
    assert reviewed.pop("reviewed_at") >= grant["granted_at"]
    assert reviewed == grant | {"doctor_id": clinic.dev.id, "reviewed_by": clinic.amara.id, "review_note": note}
    [row] = clinic.amara.audit_rows(action="break_glass.reviewed")
    assert (row["actor_id"], row["entity_id"]) == (clinic.amara.id, grant["id"])


def test_second_review_gets_409_already_reviewed(clinic: Clinic) -> None:
    grant = clinic.dev.has_opened(clinic.paul)
    first = reviews(clinic, grant, "Right.", expect=200).json()
    assert reviews(clinic, grant, "Wrong.", expect=409).json()["code"] == "already_reviewed"
    [[item]] = pages_of(clinic.amara, "/break-glass/")
    assert item == first


def test_of_two_reviews_at_once_one_counts(clinic: Clinic) -> None:
    grant = clinic.dev.has_opened(clinic.paul)
    answers = at_once([lambda note=note: reviews(clinic, grant, note) for note in "abcd"])
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert len(clinic.amara.audit_rows(action="break_glass.reviewed")) == 1


def test_grant_that_there_is_not_is_404(clinic: Clinic, elsewhere: Clinic) -> None:
    grant = clinic.dev.has_opened(clinic.paul)
    for path in (f"/break-glass/{uuid.uuid4()}/review", "/break-glass/x/review"):
        assert clinic.amara.posts(path, {}, expect=404).json()["code"] == "not_found"
    elsewhere.amara.posts(f"/break-glass/{grant['id']}/review", {}, expect=404)


@pytest.mark.parametrize("body", [{"note": "x" * 1001}, {"note": "a\0b"}, {"note": 1}, {"verdict": "fine"}])
def test_bad_body_is_422(clinic: Clinic, body: dict[str, Any]) -> None:
    grant = clinic.dev.has_opened(clinic.paul)
    clinic.amara.posts(f"/break-glass/{grant['id']}/review", body, expect=422)


def test_nobody_reviews_what_they_opened_themselves(clinic: Clinic) -> None:
    grant = clinic.dev.has_opened(clinic.paul)
    clinic.amara.patches(f"/users/{clinic.dev.id}", {"role": "admin"}, expect=200)
    dev = clinic.dev.in_another_session()
    assert dev.posts(f"/break-glass/{grant['id']}/review", {}, expect=403).json()["code"] == "forbidden"
    reviews(clinic, grant, expect=200)


def test_review_is_final_for_the_application_too(clinic: Clinic, as_application: psycopg.Connection) -> None:
    reviews(clinic, clinic.dev.has_opened(clinic.paul), "Right.", expect=200)
    with pytest.raises(errors.CheckViolation, match="one review"):
        as_application.execute("UPDATE break_glass_grants SET review_note = 'x' WHERE clinic_id = %s", [clinic.id])
