"""What the tests of break-glass share: Paul's record, which Dev has nothing to do with, and an hour that passes."""

from typing import Any

import psycopg

from tests.cast import Clinic
from tests.prescription.test_post_prescriptions import held_consultation


def record_of_paul(clinic: Clinic) -> tuple[dict[str, Any], dict[str, Any]]:
    """A completed consultation with Dora, and what she prescribed."""
    consultation = held_consultation(clinic)
    return consultation, clinic.dora.prescribes(consultation, expect=201).json()


def an_hour_passes(owner: psycopg.Connection, clinic: Clinic) -> None:
    """For the clinic's grants."""
    with owner.transaction():
        owner.execute("ALTER TABLE break_glass_grants DISABLE TRIGGER tr_break_glass_grants_final")
        owner.execute(
            "UPDATE break_glass_grants SET granted_at = granted_at - interval '1 hour',"
            " expires_at = expires_at - interval '1 hour' WHERE clinic_id = %s",
            [clinic.id],
        )
        owner.execute("ALTER TABLE break_glass_grants ENABLE TRIGGER tr_break_glass_grants_final")
