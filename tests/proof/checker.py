"""Questions to the tables of a clinic after a storm. Each counts what must not be there."""

from collections.abc import Iterable
from typing import Any

from tests.proof.figures import Figure, none
from tests.proof.town import Town

# Whoever begins before all that began earlier have ended.
OVERLAPS = """
    SELECT 1 FROM (
        SELECT starts_at < max(ends_at) OVER (
            PARTITION BY {whose} ORDER BY starts_at, id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS is_overlap
        FROM {table} WHERE clinic_id = %(clinic)s AND {condition}) intervals
    WHERE is_overlap
"""
VIOLATIONS = {
    "slots with two live consultations": """
        SELECT slot_id FROM consultations
        WHERE clinic_id = %(clinic)s AND status <> 'cancelled' GROUP BY slot_id HAVING count(*) > 1
    """,
    "patients in two scheduled consultations at a time": OVERLAPS.format(
        table="consultations", whose="patient_id", condition="status = 'scheduled'"
    ),
    "doctors in two live consultations at a time": OVERLAPS.format(
        table="consultations", whose="doctor_id", condition="status <> 'cancelled'"
    ),
    "doctors with two slots at a time": OVERLAPS.format(
        table="availability_slots", whose="doctor_id", condition="status <> 'withdrawn'"
    ),
    "slots whose status does not fit their consultations": """
        SELECT s.id FROM availability_slots s
        WHERE s.clinic_id = %(clinic)s AND (s.status = 'booked') IS DISTINCT FROM EXISTS (
            SELECT FROM consultations c
            WHERE c.clinic_id = s.clinic_id AND c.slot_id = s.id AND c.status <> 'cancelled')
    """,
    "consultations that differ from their slot": """
        SELECT c.id FROM consultations c
        LEFT JOIN availability_slots s ON s.clinic_id = c.clinic_id AND s.id = c.slot_id
        WHERE c.clinic_id = %(clinic)s
            AND (s.doctor_id, s.starts_at, s.ends_at) IS DISTINCT FROM (c.doctor_id, c.starts_at, c.ends_at)
    """,
    "keys that made two consultations": """
        SELECT patient_id FROM consultations
        WHERE clinic_id = %(clinic)s GROUP BY patient_id, idempotency_key HAVING count(*) > 1
    """,
    "consultations without a key row, or with a refusal in it": """
        SELECT c.id FROM consultations c LEFT JOIN idempotency_keys k
            ON k.clinic_id = c.clinic_id AND k.user_id = c.patient_id
            AND k.operation = 'book_slot' AND k.key = c.idempotency_key
        WHERE c.clinic_id = %(clinic)s AND (k.key IS NULL OR k.outcome IS NOT NULL)
    """,
    # One that died between claiming its key and telling why it was refused leaves such a row; its retry settles it.
    "booking keys with neither a consultation nor a refusal": """
        SELECT k.key FROM idempotency_keys k
        WHERE k.clinic_id = %(clinic)s AND k.operation = 'book_slot' AND k.outcome IS NULL AND NOT EXISTS (
            SELECT FROM consultations c WHERE c.clinic_id = k.clinic_id AND c.patient_id = k.user_id
                AND c.idempotency_key = k.key)
    """,
    "differences between audit rows and states": """
        WITH happened AS (
            SELECT id::text AS id, 'consultation.booked' AS what FROM consultations WHERE clinic_id = %(clinic)s
            UNION ALL SELECT id::text, 'consultation.' || status FROM consultations
            WHERE clinic_id = %(clinic)s AND status <> 'scheduled'
        ), told AS (
            SELECT entity_id AS id, action AS what FROM audit_logs
            WHERE clinic_id = %(clinic)s AND entity_type = 'consultation' AND outcome = 'success'
        )
        (SELECT * FROM happened EXCEPT ALL SELECT * FROM told)
        UNION ALL (SELECT * FROM told EXCEPT ALL SELECT * FROM happened)
    """,
    "differences between outgoing events and states": """
        WITH happened AS (
            SELECT id::text AS id, 'consultation.booked' AS what FROM consultations WHERE clinic_id = %(clinic)s
            UNION ALL SELECT id::text, 'consultation.' || status FROM consultations
            WHERE clinic_id = %(clinic)s AND status <> 'scheduled'
        ), told AS (
            SELECT entity_id AS id, topic AS what FROM outbox
            WHERE clinic_id = %(clinic)s AND topic LIKE 'consultation.%%'
        )
        (SELECT * FROM happened EXCEPT ALL SELECT * FROM told)
        UNION ALL (SELECT * FROM told EXCEPT ALL SELECT * FROM happened)
    """,
}


def violations(town: Town) -> list[Figure]:
    """One figure for each thing that must hold whatever happened."""
    with town.tables() as tables:
        return [
            none(what, len(tables.execute(query, {"clinic": town.clinic_id}).fetchall()))  # type: ignore[call-overload]
            for what, query in VIOLATIONS.items()
        ]


def states(town: Town) -> dict[str, str]:
    """The state of each consultation, by id."""
    with town.tables() as tables:
        rows = tables.execute("SELECT id, status FROM consultations WHERE clinic_id = %s", [town.clinic_id]).fetchall()
    return {str(row[0]): str(row[1]) for row in rows}


def lost(town: Town, acknowledged: Iterable[dict[str, Any]]) -> int:
    """How many acknowledged bookings are not in the table as they were acknowledged."""
    with town.tables() as tables:
        rows = tables.execute(
            "SELECT id, slot_id, patient_id FROM consultations WHERE clinic_id = %s", [town.clinic_id]
        ).fetchall()
    kept = {(str(row[0]), row[1], str(row[2])) for row in rows}
    return sum((told["id"], told["slot_id"], told["patient_id"]) not in kept for told in acknowledged)
