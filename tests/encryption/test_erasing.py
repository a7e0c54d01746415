"""Without their keys a patient's texts are gone, in backups too once the key ring has changed."""

from starlette.testclient import TestClient

from app.encryption import service
from tests.cast import Clinic, found_clinic
from tests.encryption.record import ERASED, WRITTEN, Record, past_triggers, serving
from tests.mailbox import SECRET_KEY
from tests.prescription.test_post_prescriptions import held_consultation

OLD, NEW = SECRET_KEY, SECRET_KEY[::-1]


def erase(clinic: Clinic, patient_id: str) -> int:
    """As `telemed text erase` does."""
    client: TestClient = clinic.client
    assert client.portal is not None
    db = client.app.state.db  # type: ignore[attr-defined]
    return client.portal.call(
        lambda: service.erase(db, clinic_id=clinic.id, patient_id=patient_id, request_id="test")  # type: ignore[arg-type]
    )


def rotate(clinic: Clinic) -> int:
    """As `telemed text rotate-keys` does."""
    client: TestClient = clinic.client
    assert client.portal is not None
    state = client.app.state  # type: ignore[attr-defined]
    return client.portal.call(lambda: service.rotate(state.db, state.key_ring, tell=lambda _: None))


def test_erased_text_is_read_by_nobody_and_the_rest_stays(clinic: Clinic) -> None:
    record = Record(clinic)
    assert erase(clinic, clinic.paul.id) == 4
    assert record.read() == ERASED
    again = clinic.paul.gets(f"/prescriptions/{record.prescription['id']}", expect=200).json()
    assert again == record.prescription | {"items": [], "notes": None}


def test_texts_of_others_stay(clinic: Clinic) -> None:
    record = Record(clinic)
    assert erase(clinic, clinic.petra.id) == 0
    assert record.read() == WRITTEN


def test_patient_of_another_clinic_is_not_meant(clinic: Clinic, elsewhere: Clinic) -> None:
    record = Record(clinic)
    assert erase(elsewhere, clinic.paul.id) == 0
    assert record.read() == WRITTEN


def test_the_patient_sees_that_it_was_done_and_can_be_treated_again(clinic: Clinic) -> None:
    assert Record(clinic)
    erase(clinic, clinic.paul.id)
    [told] = [row for row in clinic.paul.accesses() if row["action"] == "patient.text_erased"]
    assert (told["entity_type"], told["entity_id"], told["actor_id"]) == ("user", clinic.paul.id, None)
    [row] = clinic.amara.audit_rows(action="patient.text_erased")
    assert row["details"] == {"texts": 4}
    fresh = clinic.dora.prescribes(held_consultation(clinic), expect=201).json()
    assert clinic.paul.gets(f"/prescriptions/{fresh['id']}", expect=200).json() == fresh


def test_retry_after_erasing_tells_the_record_without_its_text(clinic: Clinic) -> None:
    consultation = held_consultation(clinic)
    first = clinic.dora.prescribes(consultation, key="key-of-one-day", expect=201).json()
    erase(clinic, clinic.paul.id)
    again = clinic.dora.prescribes(consultation, key="key-of-one-day", expect=201)
    assert again.json() == first | {"items": [], "notes": None}
    assert again.headers["idempotency-replayed"] == "true"


def test_keys_of_an_old_backup_open_nothing_once_the_old_secret_is_gone(urls: tuple[str, str]) -> None:
    """`docs/keys.md`: erase, rotate, forget the old secret. What restores the rest is the present `data_keys`."""
    url, boss_url = urls
    with past_triggers(boss_url) as boss:
        with serving(url, field_keys=OLD) as client:
            record, other = Record(found_clinic(client)), Record(found_clinic(client))
            boss.execute("CREATE TABLE backup AS TABLE data_keys")
            erase(record.clinic, record.clinic.paul.id)
        with serving(url, field_keys=f"{NEW},{OLD}") as client:
            there = Clinic(client, record.clinic.slug, record.clinic.id)
            assert rotate(there) == 4
        boss.execute("CREATE TABLE present AS TABLE data_keys")
        with serving(url, field_keys=NEW) as client:
            boss.execute("DELETE FROM data_keys")
            boss.execute("INSERT INTO data_keys TABLE backup")
            there = Clinic(client, record.clinic.slug, record.clinic.id)
            refused = record.clinic.paul.at(there).gets(f"/prescriptions/{record.prescription['id']}", expect=503)
            assert "FIELD_KEYS" in refused.json()["detail"]
            boss.execute("DELETE FROM data_keys")
            boss.execute("INSERT INTO data_keys TABLE present")
            assert record.read(there) == ERASED
            assert other.read(Clinic(client, other.clinic.slug, other.clinic.id)) == WRITTEN
