"""`GET /audit-logs/`: what it holds, who may read it, and page by page."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.cast import Clinic, fresh_key, iso


def clinical_day(clinic: Clinic) -> dict[str, Any]:
    """From a slot to a prescription; the consultation that was held, and its prescription."""
    clinic.dora.deletes(f"/availability/{clinic.dora.offers()['id']}", expect=204)
    clinic.paul.cancels(clinic.paul.has_booked(clinic.dora.offers()), expect=200)
    consultation = clinic.dora.completes(clinic.paul.has_booked(clinic.dora.offers()), expect=200).json()
    prescription = clinic.dora.prescribes(consultation, expect=201).json()
    clinic.dora.gets(f"/prescriptions/{prescription['id']}", expect=200)
    clinic.amara.gets(f"/consultations/{consultation['id']}", expect=200)
    clinic.amara.gets("/consultations/", expect=200)
    return {"consultation": consultation, "prescription": prescription}


def pages_of(clinic: Clinic, **params: Any) -> list[list[dict[str, Any]]]:
    """All pages, to the last one."""
    pages, cursor = [], None
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = clinic.amara.gets("/audit-logs/", params={**params, **more}, expect=200).json()
        pages.append(page["items"])
        cursor = page["next_cursor"]
        if cursor is None:
            return pages


def test_every_step_of_the_clinical_day_is_there(clinic: Clinic) -> None:
    clinical_day(clinic)
    assert {row["action"] for row in clinic.amara.audit_rows(limit="100")} >= {
        "user.created",
        "user.logged_in",
        "slot.created",
        "slot.withdrawn",
        "consultation.booked",
        "consultation.cancelled",
        "consultation.completed",
        "consultation.read",
        "consultation.listed",
        "prescription.created",
        "prescription.read",
    }


def test_row_tells_who_did_what_to_which_record(clinic: Clinic) -> None:
    slot, before = clinic.dora.offers(), datetime.now(UTC) - timedelta(seconds=5)
    booked = clinic.paul.books(slot, headers={"X-Request-ID": "the-request"}, expect=201)
    [row] = clinic.amara.audit_rows(action="consultation.booked")
    assert before < datetime.fromisoformat(row["occurred_at"]) < datetime.now(UTC) + timedelta(seconds=5)
    assert row["occurred_at"].endswith("Z")
    assert {name: value for name, value in row.items() if name not in {"id", "occurred_at"}} == {
        "actor_id": clinic.paul.id,
        "actor_role": "patient",
        "action": "consultation.booked",
        "entity_type": "consultation",
        "entity_id": booked.json()["id"],
        "outcome": "success",
        "request_id": "the-request",
        "details": {"slot_id": slot["id"]},
    }


def test_newest_row_comes_first(clinic: Clinic) -> None:
    clinical_day(clinic)
    moments = [row["occurred_at"] for row in clinic.amara.audit_rows(limit="100")]
    assert moments == sorted(moments, reverse=True)


@pytest.mark.parametrize("name", ["actor_id", "action", "entity_type", "entity_id"])
def test_filter_selects_by_equality(clinic: Clinic, name: str) -> None:
    clinical_day(clinic)
    rows = clinic.amara.audit_rows(limit="100")
    for value in {row[name] for row in rows if row[name] is not None}:
        expected = [row for row in rows if row[name] == value]
        assert clinic.amara.audit_rows(**{name: value}, limit="100") == expected


def test_filters_narrow_each_other(clinic: Clinic) -> None:
    day = clinical_day(clinic)
    rows = clinic.amara.audit_rows(
        actor_id=clinic.dora.id, entity_type="consultation", entity_id=day["consultation"]["id"]
    )
    assert [row["action"] for row in rows] == ["consultation.completed"]


def test_window_is_half_open(clinic: Clinic) -> None:
    clinical_day(clinic)
    rows = clinic.amara.audit_rows(limit="100", entity_type="consultation")
    newest, oldest = rows[1]["occurred_at"], rows[-2]["occurred_at"]
    window = {"from": oldest, "to": newest, "entity_type": "consultation"}
    assert clinic.amara.audit_rows(**window) == [row for row in rows if oldest <= row["occurred_at"] < newest]


def test_pages_hold_every_row_once(clinic: Clinic) -> None:
    clinical_day(clinic)
    until = {"to": iso(datetime.now(UTC))}
    everything = clinic.amara.audit_rows(limit="100", **until)
    pages = pages_of(clinic, limit=5, **until)
    assert [row for page in pages for row in page] == everything
    assert all(len(page) == 5 for page in pages[:-1])


def test_pages_are_stable_under_inserts(clinic: Clinic) -> None:
    clinical_day(clinic)
    everything = clinic.amara.audit_rows(limit="100")
    first = clinic.amara.gets("/audit-logs/?limit=4", expect=200).json()
    clinical_day(clinic)
    params = {"limit": 100, "cursor": first["next_cursor"]}
    rest = clinic.amara.gets("/audit-logs/", params=params, expect=200).json()
    assert first["items"] + rest["items"] == everything


def test_rows_of_one_moment_are_split_by_a_page_without_loss(clinic: Clinic) -> None:
    times = [{"starts_at": f"2031-01-0{day}T09:00:00Z", "ends_at": f"2031-01-0{day}T10:00:00Z"} for day in range(1, 6)]
    slots = clinic.dora.posts("/availability/bulk", {"slots": times}, expect=201).json()["items"]
    pages = pages_of(clinic, limit=2, action="slot.created")
    assert [len(page) for page in pages] == [2, 2, 1]
    assert {row["entity_id"] for page in pages for row in page} == {str(slot["id"]) for slot in slots}


def test_cursor_of_another_filter_is_400(clinic: Clinic) -> None:
    clinical_day(clinic)
    cursor = clinic.amara.gets("/audit-logs/?limit=1", expect=200).json()["next_cursor"]
    params = {"cursor": cursor, "action": "consultation.booked"}
    assert clinic.amara.gets("/audit-logs/", params=params, expect=400).json()["code"] == "invalid_cursor"


@pytest.mark.parametrize("name", ["paul", "dora"])
def test_refusal_with_403_is_recorded(clinic: Clinic, name: str) -> None:
    person = getattr(clinic, name)
    person.gets("/audit-logs/", headers={"X-Request-ID": "the-request"}, expect=403)
    [row] = clinic.amara.audit_rows(action="request.denied")
    assert (row["actor_id"], row["outcome"], row["request_id"]) == (person.id, "denied", "the-request")
    assert row["details"] == {"method": "GET", "route": "/audit-logs/"}


def test_refusal_with_403_inside_a_room_is_recorded(clinic: Clinic) -> None:
    clinic.paul.completes(clinic.paul.has_booked(clinic.dora.offers()), expect=403)
    [row] = clinic.amara.audit_rows(action="request.denied")
    assert row["details"] == {"method": "PATCH", "route": "/consultations/{id}/status"}


def test_failed_login_is_recorded_without_the_password(clinic: Clinic) -> None:
    body = {"email": clinic.paul.email, "password": "wrong-password-1", "clinic": clinic.slug}
    clinic.nobody.posts("/auth/login", body, expect=401)
    [row] = clinic.amara.audit_rows(action="user.login_failed")
    assert (row["outcome"], row["actor_id"], row["entity_id"]) == ("failure", None, clinic.paul.id)
    assert "wrong-password-1" not in str(row)


def test_login_with_an_unknown_email_is_recorded_without_it(clinic: Clinic) -> None:
    body = {"email": "who@clinic.test", "password": "wrong-password-1", "clinic": clinic.slug}
    clinic.nobody.posts("/auth/login", body, expect=401)
    [row] = clinic.amara.audit_rows(action="user.login_failed")
    assert (row["outcome"], row["entity_id"]) == ("failure", None)
    assert "who@clinic.test" not in str(row)


def test_refusals_that_are_no_403_leave_no_row(clinic: Clinic) -> None:
    consultation = clinic.paul.has_booked(clinic.dora.offers())
    before = len(clinic.amara.audit_rows(limit="100"))
    clinic.paul.books(1, expect=404)
    clinic.paul.posts("/bookings/", {}, key=fresh_key(), expect=422)
    clinic.nobody.gets("/audit-logs/", expect=401)
    clinic.paul.gets(f"/consultations/{consultation['slot_id']}", expect=404)
    assert len(clinic.amara.audit_rows(limit="100")) == before


def test_clinical_text_stays_out_of_the_log(clinic: Clinic) -> None:
    clinic.paul.cancels(clinic.paul.has_booked(clinic.dora.offers()), "my secret reason", expect=200)
    consultation = clinical_day(clinic)["consultation"]
    assert consultation["id"] in str(rows := clinic.amara.audit_rows(limit="100"))
    for text in ("my secret reason", "Amoxicillin", clinic.paul.email, "Paul Test"):
        assert text not in str(rows)


def test_rows_of_another_clinic_are_not_there(clinic: Clinic, elsewhere: Clinic) -> None:
    consultation = clinical_day(clinic)["consultation"]
    assert elsewhere.amara.audit_rows(entity_id=consultation["id"]) == []
    assert elsewhere.amara.audit_rows(actor_id=clinic.dora.id) == []


@pytest.mark.parametrize(
    "query",
    ["actor_id=1", "from=2030-01-01", "to=now", "limit=101", "outcome=denied", "action=" + "x" * 201, "entity_id=%00"],
)
def test_bad_query_is_422(clinic: Clinic, query: str) -> None:
    assert clinic.amara.gets(f"/audit-logs/?{query}", expect=422).json()["code"] == "validation_error"
