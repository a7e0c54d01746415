"""`POST /patients/{id}/break-glass`: for whom, for how long, and who is told."""

import uuid
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import errors

from tests.breakglass.emergency import record_of_paul
from tests.cast import Clinic, prescription_for
from tests.patience import at_once

REASON = "Found unconscious at the station"


def test_doctor_opens_a_record_for_an_hour(clinic: Clinic) -> None:
    grant = clinic.dev.has_opened(clinic.paul, REASON)
    granted_at, expires_at = (datetime.fromisoformat(grant.pop(name)) for name in ("granted_at", "expires_at"))
    assert uuid.UUID(grant.pop("id")).version == 7
    assert grant == {"patient_id": clinic.paul.id, "reason": REASON}
    assert expires_at - granted_at == timedelta(hours=1)
    assert abs(granted_at - datetime.now(UTC)) < timedelta(seconds=5)


def test_patient_is_told_by_an_event_of_the_same_transaction(clinic: Clinic, owner: psycopg.Connection) -> None:
    grant = clinic.dev.has_opened(clinic.paul, REASON)
    transactions = owner.execute(
        "SELECT xmin::text FROM outbox WHERE clinic_id = %(clinic)s AND topic = 'patient.record_opened'"
        " AND entity_id = %(grant)s UNION ALL SELECT xmin::text FROM break_glass_grants"
        " WHERE clinic_id = %(clinic)s AND id::text = %(grant)s UNION ALL SELECT xmin::text FROM audit_logs"
        " WHERE clinic_id = %(clinic)s AND entity_id = %(grant)s AND action = 'break_glass.granted'",
        {"clinic": clinic.id, "grant": grant["id"]},
    ).fetchall()
    assert len(transactions) == 3
    assert len(set(transactions)) == 1


def test_audit_row_names_the_grant_and_not_the_reason(clinic: Clinic) -> None:
    grant = clinic.dev.has_opened(clinic.paul, REASON)
    [row] = clinic.amara.audit_rows(action="break_glass.granted")
    assert (row["actor_id"], row["entity_type"], row["entity_id"]) == (clinic.dev.id, "break_glass", grant["id"])
    assert row["details"] == {"grant_id": grant["id"]}
    assert REASON not in str(row)


def test_each_repeat_is_a_grant_of_its_own(clinic: Clinic) -> None:
    first, again = clinic.dev.has_opened(clinic.paul, REASON), clinic.dev.has_opened(clinic.paul, "Still unconscious")
    assert first["id"] != again["id"]
    reasons = [item["reason"] for item in clinic.amara.gets("/break-glass/", expect=200).json()["items"]]
    assert reasons == [REASON, "Still unconscious"]


def test_two_doctors_at_once_have_a_grant_each(clinic: Clinic) -> None:
    assert clinic.paul.id
    doctors = [clinic.dora, clinic.dev]
    grants = at_once([lambda doctor=doctor: doctor.has_opened(clinic.paul) for doctor in doctors])
    assert len({grant["id"] for grant in grants}) == 2
    assert {row["actor_id"] for row in clinic.amara.audit_rows(action="break_glass.granted")} == {
        doctor.id for doctor in doctors
    }


def test_who_is_no_patient_cannot_be_told_from_nobody(clinic: Clinic, elsewhere: Clinic) -> None:
    ids = [uuid.uuid4(), clinic.dora.id, clinic.dev.id, clinic.amara.id, elsewhere.paul.id]
    answers = [
        clinic.dev.posts(
            f"/patients/{id}/break-glass", {"reason": REASON}, headers={"X-Request-ID": "the-same-one"}, expect=404
        )
        for id in ids
    ]
    assert len({answer.content for answer in answers}) == 1
    assert clinic.amara.audit_rows(action="break_glass.granted") == []


@pytest.mark.parametrize("reason", ["", " \n", "\u200b", "...", "x" * 1001, "a\0b", None, 7])
def test_reason_must_be_said(clinic: Clinic, reason: object) -> None:
    body = {"reason": reason}
    refused = clinic.dev.posts(f"/patients/{clinic.paul.id}/break-glass", body, expect=422).json()
    assert [error["field"] for error in refused["errors"]] == ["body.reason"]


@pytest.mark.parametrize("reason", ["x", "é" * 1000])
def test_reason_may_be_this_short_and_this_long(clinic: Clinic, reason: str) -> None:
    assert clinic.dev.has_opened(clinic.paul, reason)["reason"] == reason


def test_inactive_patients_record_can_be_opened(clinic: Clinic) -> None:
    clinic.amara.patches(f"/users/{clinic.paul.id}", {"is_active": False}, expect=200)
    clinic.dev.has_opened(clinic.paul)


def test_grant_gives_no_right_to_change_anything(clinic: Clinic) -> None:
    scheduled = clinic.paul.has_booked(clinic.dora.offers())
    completed, _ = record_of_paul(clinic)
    clinic.dev.has_opened(clinic.paul)
    clinic.dev.completes(scheduled, expect=404)
    clinic.dev.cancels(scheduled, expect=404)
    clinic.dev.posts("/prescriptions/", prescription_for(completed["id"]), key="key-of-mine", expect=404)
    assert clinic.dev.gets(f"/consultations/{scheduled['id']}", expect=200).json() == scheduled


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE break_glass_grants SET reason = 'another' WHERE clinic_id = {clinic}",
        "UPDATE break_glass_grants SET expires_at = expires_at + interval '1 day' WHERE clinic_id = {clinic}",
        "DELETE FROM break_glass_grants WHERE clinic_id = {clinic}",
        "TRUNCATE break_glass_grants",
    ],
)
def test_grant_is_never_changed_even_by_the_owner(
    clinic: Clinic, owner: psycopg.Connection, as_application: psycopg.Connection, change: str
) -> None:
    clinic.dev.has_opened(clinic.paul)
    statement = change.format(clinic=clinic.id).encode()
    with pytest.raises(errors.CheckViolation, match="never deleted"):
        owner.execute(statement)
    with pytest.raises(errors.InsufficientPrivilege):
        as_application.execute(statement)


def test_grant_for_longer_than_an_hour_is_refused_by_the_database(
    clinic: Clinic, as_application: psycopg.Connection
) -> None:
    with pytest.raises(errors.CheckViolation, match="ck_break_glass_grants_length"):
        as_application.execute(
            "INSERT INTO break_glass_grants (clinic_id, id, doctor_id, patient_id, reason, expires_at)"
            " VALUES (%s, gen_random_uuid(), %s, %s, 'x', now() + interval '61 minutes')",
            [clinic.id, clinic.dev.id, clinic.paul.id],
        )
