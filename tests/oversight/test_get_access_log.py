"""`GET /users/me/access-log`: everybody sees who else had to do with their record."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.breakglass.emergency import record_of_paul
from tests.cast import Clinic, Person, iso
from tests.consultation.test_get_consultations import pages_of

PATH = "/users/me/access-log"


def actions(person: Person, **filters: str) -> list[str]:
    return [access["action"] for access in person.accesses(**filters)]


def test_patient_sees_what_others_did_with_the_record(clinic: Clinic) -> None:
    consultation, prescription = record_of_paul(clinic)
    clinic.dora.gets(f"/consultations/{consultation['id']}", expect=200)
    clinic.amara.gets(f"/consultations/{consultation['id']}", expect=200)
    clinic.amara.gets("/consultations/", expect=200)
    clinic.dora.gets(f"/prescriptions/{prescription['id']}", expect=200)
    clinic.dora.gets("/prescriptions/my", expect=200)
    clinic.amara.patches(f"/users/{clinic.paul.id}", {"full_name": "Paul Patient"}, expect=200)
    assert actions(clinic.paul) == [
        "user.updated", "prescription.listed", "prescription.read", "consultation.listed", "consultation.read",
        "consultation.read", "prescription.created", "consultation.completed", "user.created",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["dora", "amara"])
def test_cancellation_by_another_is_in_it(clinic: Clinic, name: str) -> None:
    consultation = clinic.paul.has_booked(clinic.dora.offers())
    getattr(clinic, name).cancels(consultation, expect=200)
    access = clinic.paul.accesses()[0]
    assert (access["action"], access["entity_id"]) == ("consultation.cancelled", consultation["id"])


def test_item_says_who_did_what(clinic: Clinic) -> None:
    consultation = clinic.paul.has_booked(clinic.dora.offers())
    clinic.dora.gets(f"/consultations/{consultation['id']}", expect=200)
    [row] = clinic.amara.audit_rows(action="consultation.read")
    assert clinic.paul.accesses()[0] == {
        "id": row["id"],
        "occurred_at": row["occurred_at"],
        "actor_id": clinic.dora.id,
        "actor_role": "doctor",
        "actor_name": "Dora Test",
        "action": "consultation.read",
        "entity_type": "consultation",
        "entity_id": consultation["id"],
        "reason": None,
    }


def test_emergency_is_in_it_with_its_reason_and_all_that_was_read(clinic: Clinic) -> None:
    consultation, _ = record_of_paul(clinic)
    grant = clinic.dev.has_opened(clinic.paul, "Unconscious at the station")
    clinic.dev.gets(f"/consultations/{consultation['id']}", expect=200)
    clinic.dev.gets(f"/patients/{clinic.paul.id}/prescriptions", expect=200)
    clinic.amara.posts(f"/break-glass/{grant['id']}/review", {}, expect=200)
    told = clinic.paul.accesses()[:4]
    assert [(access["action"], access["actor_name"]) for access in told] == [
        ("break_glass.reviewed", "Amara Admin"),
        ("prescription.listed", "Dev Test"),
        ("consultation.read", "Dev Test"),
        ("break_glass.granted", "Dev Test"),
    ]
    assert {access["reason"] for access in told} == {"Unconscious at the station"}


def test_what_one_does_oneself_is_not_in_it(clinic: Clinic) -> None:
    consultation, prescription = record_of_paul(clinic)
    before = clinic.paul.accesses()
    clinic.paul.gets(f"/consultations/{consultation['id']}", expect=200)
    clinic.paul.gets(f"/prescriptions/{prescription['id']}", expect=200)
    clinic.paul.patches("/users/me", {"time_zone": "Europe/Berlin"}, expect=200)
    clinic.paul.cancels(clinic.paul.has_booked(clinic.dora.offers()), expect=200)
    clinic.paul.logs_in()
    assert clinic.paul.accesses() == before


def test_what_was_refused_is_not_in_it(clinic: Clinic) -> None:
    consultation, _ = record_of_paul(clinic)
    before = clinic.paul.accesses()
    clinic.dev.gets(f"/consultations/{consultation['id']}", expect=404)
    clinic.dora.patches(f"/users/{clinic.paul.id}", {"full_name": "Another"}, expect=403)
    body = {"email": clinic.paul.email, "password": "wrong-password", "clinic": clinic.slug}
    clinic.nobody.posts("/auth/login", body, expect=401)
    assert clinic.paul.accesses() == before


def test_nobody_sees_another_persons_log(clinic: Clinic, elsewhere: Clinic) -> None:
    consultation, _ = record_of_paul(clinic)
    clinic.amara.gets(f"/consultations/{consultation['id']}", expect=200)
    for person in (clinic.petra, clinic.dora, elsewhere.paul):
        assert actions(person) == ["user.created"]


def test_doctor_sees_who_withdrew_a_slot(clinic: Clinic) -> None:
    mine, withdrawn = clinic.dora.offers(), clinic.dora.offers()
    clinic.dora.deletes(f"/availability/{mine['id']}", expect=204)
    clinic.amara.deletes(f"/availability/{withdrawn['id']}", expect=204)
    assert [(access["action"], access["entity_id"]) for access in clinic.dora.accesses()] == [
        ("slot.withdrawn", str(withdrawn["id"])),
        ("user.created", clinic.dora.id),
    ]


def test_account_made_at_the_command_line_has_no_actor(clinic: Clinic) -> None:
    [access] = clinic.amara.accesses()
    assert access["action"] == "user.created"
    assert (access["actor_id"], access["actor_role"], access["actor_name"]) == (None, None, None)


def seen_often(clinic: Clinic, count: int = 5) -> list[dict[str, Any]]:
    consultation = clinic.paul.has_booked(clinic.dora.offers())
    for _ in range(count):
        clinic.dora.gets(f"/consultations/{consultation['id']}", expect=200)
    return clinic.paul.accesses()


def test_pages_hold_every_access_once_newest_first(clinic: Clinic) -> None:
    accesses = seen_often(clinic)
    assert pages_of(clinic.paul, PATH, limit=4) == [accesses[:4], accesses[4:]]
    assert accesses == sorted(accesses, key=lambda access: access["occurred_at"], reverse=True)


def test_window_is_half_open(clinic: Clinic) -> None:
    accesses = seen_often(clinic)
    window = {"from": accesses[3]["occurred_at"], "to": accesses[0]["occurred_at"]}
    assert clinic.paul.accesses(**window) == accesses[1:4]
    later = datetime.fromisoformat(accesses[0]["occurred_at"]) + timedelta(seconds=1)
    assert clinic.paul.accesses(**{"from": iso(later)}) == []


def test_pages_are_stable_under_inserts(clinic: Clinic) -> None:
    accesses = seen_often(clinic)
    first = clinic.paul.gets(f"{PATH}?limit=2", expect=200).json()
    seen_often(clinic, count=1)
    rest = clinic.paul.gets(PATH, params={"limit": 50, "cursor": first["next_cursor"]}, expect=200)
    assert first["items"] + rest.json()["items"] == accesses


def test_cursor_of_another_caller_filter_or_list_is_400(clinic: Clinic) -> None:
    seen_often(clinic)
    cursor = clinic.paul.gets(f"{PATH}?limit=1", expect=200).json()["next_cursor"]
    for person, path, more in [
        (clinic.dora, PATH, {}),
        (clinic.paul, PATH, {"to": "2100-01-01T00:00:00Z"}),
        (clinic.paul, "/consultations/my", {}),
    ]:
        refused = person.gets(path, params={"cursor": cursor, **more}, expect=400)
        assert refused.json()["code"] == "invalid_cursor"


@pytest.mark.parametrize("query", ["limit=0", "from=yesterday", "to=2030-01-01T00:00:00", "actor_id=x"])
def test_bad_query_is_422(clinic: Clinic, query: str) -> None:
    assert clinic.paul.gets(f"{PATH}?{query}", expect=422).json()["code"] == "validation_error"
