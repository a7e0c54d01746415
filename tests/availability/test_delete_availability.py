"""`DELETE /availability/{id}`: an open slot is withdrawn, by its doctor or an admin."""

from datetime import timedelta
from typing import Any

import pytest
from httpx2 import Response

from tests.cast import Clinic, Person, some_time
from tests.patience import at_once

NOTHING = 9_223_372_036_854_775_807


def withdraw(person: Person, slot: dict[str, Any], **request: Any) -> Response:
    return person.deletes(f"/availability/{slot['id']}", **request)


def is_open(clinic: Clinic, slot: dict[str, Any]) -> bool:
    items = clinic.amara.gets("/availability/", expect=200).json()["items"]
    return slot["id"] in [item["id"] for item in items]


@pytest.mark.parametrize("name", ["dora", "amara"])
def test_doctor_withdraws_their_own_and_an_admin_any(clinic: Clinic, name: str) -> None:
    slot = clinic.dora.offers()
    assert withdraw(getattr(clinic, name), slot, expect=204).content == b""
    assert not is_open(clinic, slot)


def test_slot_of_another_doctor_is_like_one_that_does_not_exist(clinic: Clinic) -> None:
    slot = clinic.dora.offers()
    theirs = withdraw(clinic.dev, slot, expect=404).json()
    nothing = withdraw(clinic.dev, {"id": NOTHING}, expect=404).json()
    assert theirs["code"] == "not_found"
    assert {**theirs, "request_id": ""} == {**nothing, "request_id": ""}
    assert is_open(clinic, slot)


def test_booked_slot_of_another_doctor_is_404_too(clinic: Clinic) -> None:
    slot = clinic.dora.offers()
    clinic.paul.has_booked(slot)
    withdraw(clinic.dev, slot, expect=404)


@pytest.mark.parametrize("name", ["dora", "amara"])
def test_booked_slot_is_409_slot_booked(clinic: Clinic, name: str) -> None:
    slot = clinic.dora.offers()
    consultation = clinic.paul.has_booked(slot)
    assert withdraw(getattr(clinic, name), slot, expect=409).json()["code"] == "slot_booked"
    clinic.dora.completes(consultation, expect=200)
    assert withdraw(getattr(clinic, name), slot, expect=409).json()["code"] == "slot_booked"


def test_slot_with_a_cancelled_consultation_can_be_withdrawn(clinic: Clinic) -> None:
    slot = clinic.dora.offers()
    consultation = clinic.paul.has_booked(slot)
    clinic.paul.cancels(consultation, expect=200)
    withdraw(clinic.dora, slot, expect=204)
    seen = clinic.paul.gets(f"/consultations/{consultation['id']}", expect=200).json()
    assert (seen["status"], seen["slot_id"]) == ("cancelled", slot["id"])


def test_patient_is_403(clinic: Clinic) -> None:
    slot = clinic.dora.offers()
    for path in (f"/availability/{slot['id']}", f"/availability/{NOTHING}", "/availability/no-number"):
        assert clinic.paul.deletes(path, expect=403).json()["code"] == "forbidden"
    rows = clinic.amara.audit_rows(action="request.denied", actor_id=clinic.paul.id)
    assert [row["details"] for row in rows] == [{"method": "DELETE", "route": "/availability/{id}"}] * 3
    assert is_open(clinic, slot)


def test_without_a_token_it_is_401(clinic: Clinic) -> None:
    withdraw(clinic.nobody, clinic.dora.offers(), expect=401)


def test_withdrawn_slot_is_gone(clinic: Clinic) -> None:
    slot = clinic.dora.offers()
    withdraw(clinic.dora, slot, expect=204)
    assert clinic.paul.books(slot, expect=404).json()["code"] == "slot_not_found"
    for person in (clinic.dora, clinic.amara):
        assert withdraw(person, slot, expect=404).json()["code"] == "not_found"


def test_time_of_a_withdrawn_slot_is_free_for_a_new_one(clinic: Clinic) -> None:
    starts_at = some_time()
    slot = clinic.dora.offers(starts_at)
    withdraw(clinic.dora, slot, expect=204)
    new = clinic.dora.offers(starts_at - timedelta(minutes=10), minutes=60)
    assert new["id"] != slot["id"]
    clinic.paul.books(slot, expect=404)
    clinic.paul.books(new, expect=201)


@pytest.mark.parametrize("id", ["0", "-1", "x", "1.0", "9223372036854775808", "9" * 40, "%00", "٣", "1e3", " 1"])
def test_what_is_no_number_of_a_slot_is_404(clinic: Clinic, id: str) -> None:
    assert clinic.dora.deletes(f"/availability/{id}", expect=404).json()["code"] == "not_found"


def test_of_a_booking_and_a_withdrawal_at_once_one_wins(clinic: Clinic) -> None:
    for _ in range(8):
        slot = clinic.dora.offers()
        booked, withdrawn = at_once(
            [
                lambda slot=slot: clinic.paul.books(slot),
                lambda slot=slot: withdraw(clinic.dora, slot),
            ]
        )
        assert (booked.status_code, withdrawn.status_code) in ((201, 409), (404, 204)), (booked.text, withdrawn.text)


def test_withdrawal_leaves_an_audit_row(clinic: Clinic) -> None:
    slot = clinic.dora.offers()
    response = withdraw(clinic.amara, slot, expect=204)
    [row] = clinic.amara.audit_rows(action="slot.withdrawn")
    assert (row["entity_type"], row["entity_id"], row["outcome"]) == ("slot", str(slot["id"]), "success")
    assert (row["actor_id"], row["actor_role"]) == (clinic.amara.id, "admin")
    assert row["request_id"] == response.headers["x-request-id"]


def test_refused_withdrawal_leaves_no_row_of_a_change(clinic: Clinic) -> None:
    slot = clinic.dora.offers()
    clinic.paul.has_booked(slot)
    withdraw(clinic.dora, slot, expect=409)
    withdraw(clinic.dev, slot, expect=404)
    assert clinic.amara.audit_rows(action="slot.withdrawn") == []
