"""A completed or cancelled consultation never changes again: PostgreSQL refuses it to everybody."""

import psycopg
import pytest
from psycopg import errors

from tests.cast import Clinic

CHANGES = [
    "UPDATE consultations SET status = 'scheduled', completed_at = NULL, cancelled_at = NULL WHERE id = %s",
    "UPDATE consultations SET status = 'cancelled', cancelled_at = now(), completed_at = NULL WHERE id = %s",
    "UPDATE consultations SET status = 'completed', completed_at = now(), cancelled_at = NULL WHERE id = %s",
    "UPDATE consultations SET cancel_reason = 'another' WHERE id = %s",
    "UPDATE consultations SET completed_at = now() WHERE id = %s",
    "DELETE FROM consultations WHERE id = %s",
]
IDENTITY_CHANGES = [
    "UPDATE consultations SET starts_at = starts_at + interval '1 hour' WHERE id = %s",
    "UPDATE consultations SET ends_at = ends_at + interval '1 hour' WHERE id = %s",
    "UPDATE consultations SET slot_id = slot_id + 1 WHERE id = %s",
    "UPDATE consultations SET doctor_id = patient_id WHERE id = %s",
    "UPDATE consultations SET patient_id = doctor_id WHERE id = %s",
    "UPDATE consultations SET idempotency_key = 'another-key' WHERE id = %s",
    "UPDATE consultations SET created_at = now() WHERE id = %s",
    "DELETE FROM consultations WHERE id = %s",
]


@pytest.mark.parametrize("status", ["completed", "cancelled"])
@pytest.mark.parametrize("change", CHANGES)
def test_owner_of_the_tables_cannot_change_a_final_consultation(
    clinic: Clinic, owner: psycopg.Connection, status: str, change: str
) -> None:
    consultation = clinic.paul.has_booked(clinic.dora.offers())
    clinic.dora.patches(f"/consultations/{consultation['id']}/status", {"status": status}, expect=200)
    with pytest.raises(errors.CheckViolation) as refused:
        owner.execute(change, [consultation["id"]])
    assert refused.value.diag.constraint_name == "tr_consultations_final"


@pytest.mark.parametrize("status", ["completed", "cancelled"])
@pytest.mark.parametrize("change", CHANGES)
def test_application_cannot_change_a_final_consultation(
    clinic: Clinic, as_application: psycopg.Connection, status: str, change: str
) -> None:
    consultation = clinic.paul.has_booked(clinic.dora.offers())
    clinic.dora.patches(f"/consultations/{consultation['id']}/status", {"status": status}, expect=200)
    with pytest.raises((errors.CheckViolation, errors.InsufficientPrivilege)):
        as_application.execute(change, [consultation["id"]])


@pytest.mark.parametrize("change", IDENTITY_CHANGES)
def test_nobody_changes_what_was_booked(clinic: Clinic, owner: psycopg.Connection, change: str) -> None:
    consultation = clinic.paul.has_booked(clinic.dora.offers())
    with pytest.raises(errors.CheckViolation):
        owner.execute(change, [consultation["id"]])


def test_nobody_truncates(clinic: Clinic, owner: psycopg.Connection, as_application: psycopg.Connection) -> None:
    with pytest.raises(errors.CheckViolation):
        owner.execute("TRUNCATE consultations CASCADE")
    with pytest.raises(errors.InsufficientPrivilege):
        as_application.execute("TRUNCATE consultations")


@pytest.mark.parametrize(
    "marks", ["status = 'completed'", "status = 'cancelled'", "completed_at = now()", "cancel_reason = 'x'"]
)
def test_state_and_its_marks_change_together(clinic: Clinic, owner: psycopg.Connection, marks: str) -> None:
    consultation = clinic.paul.has_booked(clinic.dora.offers())
    with pytest.raises(errors.CheckViolation) as refused:
        owner.execute(f"UPDATE consultations SET {marks} WHERE id = %s", [consultation["id"]])
    assert refused.value.diag.constraint_name == "ck_consultations_marks_of_status"
