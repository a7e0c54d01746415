"""The key ring changes and no text does: with both secrets every server reads, with the new one alone too."""

import pytest
from starlette.testclient import TestClient

from app.encryption import service
from tests.cast import Clinic, found_clinic
from tests.encryption.record import WRITTEN, Record, past_triggers, serving
from tests.encryption.test_erasing import NEW, OLD, erase, rotate


def at(record: Record, client: TestClient) -> Clinic:
    """The record's clinic, at another server."""
    return Clinic(client, record.clinic.slug, record.clinic.id)


def unreadable(clinic: Clinic) -> int:
    """As `telemed check` counts."""
    assert clinic.client.portal is not None
    state = clinic.client.app.state  # type: ignore[attr-defined]
    return clinic.client.portal.call(lambda: service.unreadable(state.db, state.key_ring))


def test_both_servers_read_what_either_writes_while_the_secret_changes(urls: tuple[str, str]) -> None:
    url, _ = urls
    with serving(url, field_keys=f"{OLD},{NEW}") as first, serving(url, field_keys=f"{NEW},{OLD}") as second:
        by_old = Record(found_clinic(first))
        by_new = Record(found_clinic(second))
        assert by_old.read(at(by_old, second)) == WRITTEN
        assert by_new.read(at(by_new, first)) == WRITTEN


def test_after_rotating_the_new_secret_is_enough(urls: tuple[str, str]) -> None:
    url, boss_url = urls
    with serving(url, field_keys=OLD) as client:
        record = Record(found_clinic(client))
    with past_triggers(boss_url) as boss:
        before = boss.execute("SELECT items, notes FROM prescriptions").fetchall()
        with serving(url, field_keys=f"{NEW},{OLD}") as client:
            assert rotate(at(record, client)) == 4
            assert rotate(at(record, client)) == 0
        assert boss.execute("SELECT items, notes FROM prescriptions").fetchall() == before
    with serving(url, field_keys=NEW) as client:
        assert unreadable(at(record, client)) == 0
        assert record.read(at(record, client)) == WRITTEN


def test_secret_that_is_missing_is_503_and_counted(urls: tuple[str, str]) -> None:
    url, _ = urls
    with serving(url, field_keys=OLD) as client:
        record = Record(found_clinic(client))
    with serving(url, field_keys=NEW) as client:
        there = at(record, client)
        refused = record.clinic.paul.at(there).gets("/prescriptions/my", expect=503)
        assert refused.json()["code"] == "unavailable"
        assert unreadable(there) == 4
        # What needs none of it goes on.
        assert Record(found_clinic(client)).read() == WRITTEN


def test_interrupted_rotation_goes_on_where_it_ended(urls: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    url, _ = urls
    monkeypatch.setattr(service, "BATCH_ROWS", 2)
    with serving(url, field_keys=OLD) as client:
        records = [Record(found_clinic(client)) for _ in range(2)]
    with serving(url, field_keys=f"{NEW},{OLD}") as client:
        there = at(records[0], client)
        state = client.app.state  # type: ignore[attr-defined]

        class PowerCutError(Exception):
            pass

        def stop(_: int) -> None:
            raise PowerCutError

        assert client.portal is not None
        with pytest.raises(PowerCutError):
            client.portal.call(lambda: service.rotate(state.db, state.key_ring, tell=stop))
        assert all(record.read(at(record, client)) == WRITTEN for record in records)
        assert rotate(there) == 6
    with serving(url, field_keys=NEW) as client:
        assert all(record.read(at(record, client)) == WRITTEN for record in records)


def test_key_that_is_erased_meanwhile_does_not_come_back(
    urls: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, boss_url = urls
    with serving(url, field_keys=OLD) as client:
        record = Record(found_clinic(client))
    with serving(url, field_keys=f"{NEW},{OLD}") as client, past_triggers(boss_url) as boss:
        state = client.app.state  # type: ignore[attr-defined]
        rewrap = state.key_ring.rewrap

        def erased_meanwhile(*arguments: object) -> bytes:
            boss.execute("DELETE FROM data_keys")
            return bytes(rewrap(*arguments))

        monkeypatch.setattr(state.key_ring, "rewrap", erased_meanwhile)
        rotate(at(record, client))
        assert boss.execute("SELECT count(*) FROM data_keys").fetchone() == (0,)


def test_text_is_sealed_with_the_pepper_where_there_are_no_field_keys(urls: tuple[str, str]) -> None:
    url, _ = urls
    with serving(url, pepper=OLD) as client:
        record = Record(found_clinic(client))
        assert erase(record.clinic, record.clinic.dora.id) == 0
    with serving(url, pepper=OLD, field_keys=f"{NEW},{OLD}") as client:
        assert record.read(at(record, client)) == WRITTEN
