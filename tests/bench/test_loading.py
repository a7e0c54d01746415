"""A tiny town, loaded by COPY: every row where the arithmetic says, and no promise broken."""

from collections.abc import Iterator

import psycopg
import pytest

from app.bench import loading
from app.bench import town as towns
from app.bench.town import Town
from app.db import embedded
from app.encryption.rules import PRESCRIPTION, KeyRing, Writing
from tests.conftest import cloned
from tests.mailbox import SECRET_KEY

TOWN = Town(slots=4_000, patients=400, consultations=400)


@pytest.fixture(scope="module")
def loaded(postgres: embedded.Attachment, worker_id: str) -> Iterator[str]:
    name = f"bench_{worker_id}"
    with cloned(postgres, name):
        url = postgres.url("postgres", name)
        loading.load(url, TOWN, password_hash="!", ring=KeyRing([SECRET_KEY]), progress=lambda *_: None)
        yield url


def test_loaded_town_keeps_every_promise(loaded: str) -> None:
    loading.check(loaded)


def test_broken_town_is_noticed(loaded: str) -> None:
    with psycopg.connect(loaded, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE availability_slots SET status = 'open' WHERE id = 1")
        booked = connection.execute("SELECT count(*) FROM consultations WHERE slot_id = 1 AND status <> 'cancelled'")
        if booked.fetchone() == (0,):
            connection.execute("UPDATE consultations SET status = 'completed', slot_id = 1 WHERE id = %s", [first()])
        with pytest.raises(loading.BrokenTown):
            loading.check(loaded)


def first() -> str:
    return str(towns.consultation_id(TOWN.past - 1))


def test_prescriptions_open_with_their_keys(loaded: str) -> None:
    with psycopg.connect(loaded) as connection:
        rows = connection.execute(
            "SELECT clinic_id, id, wrapped, items FROM prescriptions LEFT JOIN data_keys USING (clinic_id)"
            " WHERE record_id = id"
        ).fetchall()
        assert connection.execute("SELECT count(*) FROM prescriptions").fetchone() == (len(rows),)
    ring = KeyRing([SECRET_KEY])
    assert rows
    for clinic_id, id, wrapped, items in rows:
        opened = ring.unseal(Writing(PRESCRIPTION, clinic_id, id), wrapped, {"items": items})["items"]
        assert opened is not None
        assert "Amoxicillin" in opened


def test_indexes_are_used_again(loaded: str) -> None:
    with psycopg.connect(loaded) as connection:
        unready = connection.execute("SELECT count(*) FROM pg_index WHERE NOT (indisready AND indisvalid)").fetchone()
    assert unready == (0,)


@pytest.mark.parametrize("number", [1, TOWN.past - 2, TOWN.past, TOWN.past + TOWN.scheduled - 1])
def test_consultation_is_whose_its_number_says(loaded: str, number: int) -> None:
    held = TOWN.held(number)
    with psycopg.connect(loaded) as connection:
        row = connection.execute(
            "SELECT doctor_id, patient_id, status, slot_id FROM consultations WHERE id = %s",
            [towns.consultation_id(number)],
        ).fetchone()
    assert row == (
        towns.doctor_id(held.doctor),
        towns.patient_id(held.patient),
        held.status,
        towns.slot_id(held.doctor, held.position),
    )


def test_sql_makes_the_same_ids(loaded: str) -> None:
    with psycopg.connect(loaded) as connection:
        row = connection.execute(
            f"SELECT {towns.id_in_sql('doctor', '7')}, {towns.id_in_sql('patient', '123')}"
        ).fetchone()
    assert row == (towns.doctor_id(7), towns.patient_id(123))
