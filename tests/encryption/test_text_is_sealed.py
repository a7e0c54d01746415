"""Clinical text is ciphertext in the database, and opens in its own place only."""

import psycopg
import pytest

from tests.cast import Clinic, found_clinic
from tests.encryption.record import MARK, WRITTEN, Record, past_triggers, serving
from tests.prescription.test_post_prescriptions import held_consultation


def test_everybody_concerned_reads_what_was_written(clinic: Clinic) -> None:
    record = Record(clinic)
    assert record.read() == WRITTEN
    assert record.prescription["notes"] == f"{MARK} notes"
    assert record.cancelled["cancel_reason"] == f"{MARK} fever"
    assert (record.grant["reason"], record.grant["review_note"]) == WRITTEN["grants"][0]


def test_no_table_has_it(clinic: Clinic, owner: psycopg.Connection) -> None:
    assert Record(clinic)
    tables = owner.execute(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    ).fetchall()
    for (table,) in tables:
        query = f"SELECT count(*) FROM {table} AS t WHERE strpos(t::text, %s) + strpos(t::text, %s) > 0"
        # As text, and as the bytes that `bytea` prints.
        found = owner.execute(query, [MARK, MARK.encode().hex()]).fetchone()  # type: ignore[call-overload]
        assert found == (0,), table


def test_cancelling_without_a_reason_files_no_key(clinic: Clinic, owner: psycopg.Connection) -> None:
    clinic.paul.cancels(clinic.paul.has_booked(clinic.dora.offers()), expect=200)
    assert owner.execute("SELECT count(*) FROM data_keys WHERE clinic_id = %s", [clinic.id]).fetchone() == (0,)


def test_each_text_has_a_key_of_its_own_under_its_patient(clinic: Clinic, owner: psycopg.Connection) -> None:
    record = Record(clinic)
    rows = owner.execute(
        "SELECT part, record_id::text, patient_id::text, wrapped FROM data_keys WHERE clinic_id = %s", [clinic.id]
    ).fetchall()
    assert {(part, id, patient) for part, id, patient, _ in rows} == {
        ("prescription", record.prescription["id"], clinic.paul.id),
        ("cancellation", record.cancelled["id"], clinic.paul.id),
        ("emergency", record.grant["id"], clinic.paul.id),
        ("review", record.grant["id"], clinic.paul.id),
    }
    assert len({wrapped for *_, wrapped in rows}) == 4


SWAPS = {
    "text": ("prescriptions", "items"),
    "field": ("prescriptions", "notes"),
    "key": ("data_keys", "wrapped"),
}


@pytest.mark.parametrize("what", SWAPS)
def test_text_or_key_of_another_record_is_an_error_and_not_told(urls: tuple[str, str], what: str) -> None:
    url, boss_url = urls
    with serving(url) as client, past_triggers(boss_url) as boss:
        clinic = found_clinic(client)
        one, other = (clinic.dora.prescribes(held_consultation(clinic), expect=201).json() for _ in range(2))
        table, column = SWAPS[what]
        if what == "field":
            boss.execute("UPDATE prescriptions SET notes = items WHERE id = %s", [one["id"]])
        else:
            id_column = "id" if table == "prescriptions" else "record_id"
            boss.execute(
                f"UPDATE {table} SET {column} = (SELECT {column} FROM {table} WHERE {id_column} = %s)"  # type: ignore[call-overload]
                f" WHERE {id_column} = %s",
                [other["id"], one["id"]],
            )
        answer = clinic.paul.gets(f"/prescriptions/{one['id']}", expect=500)
        assert answer.json()["code"] == "internal_error"
        clinic.paul.gets(f"/prescriptions/{other['id']}", expect=200)


def test_changed_byte_is_an_error_and_not_told(urls: tuple[str, str]) -> None:
    url, boss_url = urls
    with serving(url) as client, past_triggers(boss_url) as boss:
        clinic = found_clinic(client)
        id = clinic.dora.prescribes(held_consultation(clinic), expect=201).json()["id"]
        boss.execute(
            "UPDATE prescriptions SET items = set_byte(items, 40, get_byte(items, 40) # 1) WHERE id = %s", [id]
        )
        clinic.paul.gets(f"/prescriptions/{id}", expect=500)
