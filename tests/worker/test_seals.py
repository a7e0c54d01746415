"""The job that seals the audit log, and what is found of edits behind its back."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from app import worker
from app.audit.seals import jobs
from app.audit.seals.chain import BAD_SIGNATURE, CHAIN_BROKEN, CHANGED, INSERTED, MISSING, TRUNCATED, UNKNOWN_KEY
from app.db import embedded, turns
from app.kit.errors import Unavailable
from app.kit.signing import Signer
from tests.cast import Clinic
from tests.conftest import apart, settings_for
from tests.patience import at_once, eventually
from tests.tables import held
from tests.vault import ADD, ELSEWHERE, HERE, Vault, vault

ROW = "WHERE clinic_id = 1 AND request_id = 'request-13'"
SWAP = (
    "UPDATE audit_logs AS a SET occurred_at = b.occurred_at FROM audit_logs AS b WHERE a.clinic_id = 1"
    " AND b.clinic_id = 1 AND (a.request_id, b.request_id) IN (('request-{0}', 'request-{1}'),"
    " ('request-{1}', 'request-{0}'))"
)
INSERT = (
    "INSERT INTO audit_logs SELECT clinic_id, gen_random_uuid(), {} AS occurred_at, actor_id, actor_role, action,"
    f" entity_type, entity_id, outcome, request_id, details, subject_id FROM audit_logs {ROW}"
)
SWAP_SEALS = (
    "UPDATE audit_seals SET number = number + 10 WHERE clinic_id = 1 AND number > 1;"
    "UPDATE audit_seals SET number = CASE number WHEN 12 THEN 3 ELSE 2 END WHERE number > 10"
)
SEAL = "WHERE (clinic_id, number) = (1, 3)"
CHANGES = [
    "id = gen_random_uuid()",
    "occurred_at = occurred_at + interval '1 microsecond'",
    "actor_id = NULL",
    "actor_role = 'admin'",
    "action = 'consultation.list'",
    "entity_type = 'slot'",
    "entity_id = NULL",
    "outcome = 'denied'",
    "request_id = 'request-14'",
    "details = details || '{\"n\": 13.0}'",
    "subject_id = gen_random_uuid()",
]
# What is done, and what is said of which seal; the second holds rows 11 to 20 of 25.
EDITS = [
    *[(f"UPDATE audit_logs SET {change} {ROW}", [(2, CHANGED)]) for change in CHANGES],
    (f"UPDATE audit_logs SET clinic_id = 2 {ROW}", [(2, MISSING)]),
    (f"DELETE FROM audit_logs {ROW}", [(2, MISSING)]),
    ("DELETE FROM audit_logs WHERE clinic_id = 1", [(1, MISSING), (2, MISSING), (3, MISSING)]),
    (INSERT.format("occurred_at"), [(2, INSERTED)]),
    (INSERT.format("'-infinity'::timestamptz"), [(1, INSERTED)]),
    (INSERT.format("'4000-01-01 BC'::timestamptz"), [(1, INSERTED)]),
    (SWAP.format(13, 14), [(2, CHANGED)]),
    (SWAP.format(3, 13), [(1, CHANGED), (2, CHANGED)]),
    (f"UPDATE audit_logs SET occurred_at = 'infinity' {ROW}", [(2, MISSING)]),
    (f"UPDATE audit_seals SET root = sha256('x') {SEAL}", [(3, BAD_SIGNATURE), (3, CHANGED)]),
    ("UPDATE audit_seals SET signature = sha512('x') WHERE (clinic_id, number) = (1, 3)", [(3, BAD_SIGNATURE)]),
    ("UPDATE audit_seals SET sealed_at = 'infinity' WHERE (clinic_id, number) = (1, 3)", [(3, BAD_SIGNATURE)]),
    (
        "UPDATE audit_seals SET dropped_before = 'infinity' WHERE (clinic_id, number) = (1, 2)",
        [(2, BAD_SIGNATURE), (3, CHAIN_BROKEN)],
    ),
    ("UPDATE audit_seals SET key_id = 'x' WHERE (clinic_id, number) = (1, 3)", [(3, UNKNOWN_KEY)]),
    ("DELETE FROM audit_seals WHERE (clinic_id, number) = (1, 2)", [(3, CHAIN_BROKEN)]),
    ("DELETE FROM audit_seals WHERE (clinic_id, number) = (1, 1)", [(2, CHAIN_BROKEN)]),
    ("UPDATE audit_seals SET rows = 2000000000 WHERE (clinic_id, number) = (1, 3)", [(3, BAD_SIGNATURE), (3, MISSING)]),
    (
        SWAP_SEALS,
        [(2, BAD_SIGNATURE), (2, CHAIN_BROKEN), (2, INSERTED), (3, BAD_SIGNATURE), (3, CHAIN_BROKEN), (3, MISSING)],
    ),
]  # fmt: skip


@pytest.fixture
def log(postgres: embedded.Attachment) -> Iterator[Vault]:
    """25 rows here under three seals, 7 elsewhere under one."""
    with vault(postgres, "sealed") as log:
        log.add(1, 25)
        log.add(1, 7, clinic_id=ELSEWHERE)
        log.seal_all(batch=10)
        yield log


def numbers(log: Vault, clinic_id: int = HERE) -> list[tuple[int, int]]:
    return log.asks("SELECT number, rows FROM audit_seals WHERE clinic_id = %s ORDER BY number", clinic_id)


def test_rows_are_sealed_in_batches_and_hold(log: Vault) -> None:
    assert numbers(log) == [(1, 10), (2, 10), (3, 5)]
    assert numbers(log, ELSEWHERE) == [(1, 7)]
    chain, found = log.check()
    assert (chain.seals, chain.rows, found) == (3, 25, [])
    assert log.check(clinic_id=ELSEWHERE)[1] == []


@pytest.mark.parametrize(("statement", "said"), EDITS, ids=[statement[:70] for statement, _ in EDITS])
def test_edit_is_found_in_its_seal_and_nowhere_else(log: Vault, statement: str, said: list[tuple[int, str]]) -> None:
    assert log.edit(statement)
    assert [(finding.number, finding.kind) for finding in log.check()[1]] == said
    assert log.check(clinic_id=ELSEWHERE)[1] == []


def test_cut_end_is_found_by_who_has_a_checkpoint(log: Vault) -> None:
    newest = log.newest()
    checkpoints = {newest.number: newest.hash}
    assert log.check(checkpoints=checkpoints)[1] == []
    log.edit("DELETE FROM audit_seals WHERE clinic_id = 1 AND number = 3")
    log.edit("DELETE FROM audit_logs WHERE clinic_id = 1 AND (details ->> 'n')::int > 20")
    assert log.check()[1] == []
    [finding] = log.check(checkpoints=checkpoints)[1]
    assert (finding.number, finding.kind) == (3, TRUNCATED)
    # Sealed anew, there is a third one again, and it is not the one that was.
    log.add(26, 30)
    log.seal_all()
    [finding] = log.check(checkpoints=checkpoints)[1]
    assert (finding.number, finding.kind) == (3, CHAIN_BROKEN)


def test_seal_of_another_key_is_no_seal(log: Vault) -> None:
    log.add(26, 30)
    stranger = Signer(bytes(32))
    eventually(lambda: bool(log.seal(signer=stranger)), within_s=60)
    [finding] = log.check()[1]
    assert (finding.number, finding.kind) == (4, UNKNOWN_KEY)
    # As after a change of PEPPER: both keys are trusted.
    assert log.check(keys=[log.signer.public, stranger.public])[1] == []


def test_two_workers_at_once_make_one_chain(log: Vault) -> None:
    log.add(26, 60)
    at_once([lambda: log.seal_if_settled(grace=timedelta())] * 4)
    log.add(61, 70)
    log.seal_all()
    chain, found = log.check()
    assert (chain.rows, found) == (70, [])
    assert [number for number, _ in numbers(log)] == list(range(1, chain.seals + 1))


def test_crash_between_two_batches_leaves_a_chain_that_goes_on(log: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is a transaction: what was begun is not there."""
    log.add(26, 45)
    log.edit(
        "CREATE FUNCTION crash() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN IF NEW.number = 5 THEN"
        " PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER crash BEFORE INSERT ON audit_seals FOR EACH ROW EXECUTE FUNCTION crash()"
    )
    monkeypatch.setattr(turns, "BATCH_ROWS", 10)
    eventually(lambda: not log.seal_if_settled(grace=timedelta()) and len(numbers(log)) > 3, within_s=60)
    assert numbers(log)[3:] == [(4, 10)]
    log.edit("DROP TRIGGER crash ON audit_seals")
    log.seal_all(batch=10)
    chain, found = log.check()
    assert (chain.seals, chain.rows, found) == (5, 45, [])


def test_nothing_is_sealed_past_a_transaction_that_may_still_come_before(
    log: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that waits for its standby: it has written, and nobody can see it yet."""
    monkeypatch.setattr(jobs, "_SETTLE_TRIES", 3)
    with held(log.url, ADD, [HERE, 26, 26]) as slow:
        log.add(27, 30)
        with pytest.raises(Unavailable):
            log.seal()
        slow.commit()
    log.seal_all()
    chain, found = log.check()
    assert (chain.rows, found) == (30, [])


def test_rows_of_two_months_are_under_two_seals(log: Vault) -> None:
    with_time = ADD.replace("now() - interval '1 hour'", "timestamptz '2020-01-31 23:59:58Z'")
    log.boss.execute("DELETE FROM audit_seals")
    log.boss.execute("DELETE FROM audit_logs")
    log.boss.execute(with_time.encode(), [HERE, 1, 4])
    log.seal_all()
    assert numbers(log) == [(1, 1), (2, 3)]
    assert log.check()[1] == []


def test_row_waits_until_it_is_old_enough(log: Vault) -> None:
    log.edit("DELETE FROM audit_seals")
    log.edit("UPDATE audit_logs SET occurred_at = now() WHERE request_id = 'request-25'")
    log.seal_all(grace=jobs.GRACE)
    assert sum(rows for _, rows in numbers(log)) == 24
    assert log.check()[1] == []


def test_served_clinic_is_sealed_by_its_worker(postgres: embedded.Attachment, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        apart(postgres, "sealing") as (clinic, superuser_url),
        psycopg.connect(superuser_url, autocommit=True) as owner,
    ):
        assert clinic.paul.id
        assert clinic.dora.offers()
        _age(owner)
        app: Any = clinic.client.app
        monkeypatch.setattr(worker, "SEAL_EVERY_S", (0.0, 0.0))
        sealer = worker.sealer(app.state.db, settings_for("postgresql://unused"))

        def is_sealed() -> bool:
            assert clinic.client.portal is not None
            clinic.client.portal.call(sealer.run_round)
            return _sealed(owner, clinic) > 0

        eventually(is_sealed, within_s=60)
        assert _sealed(owner, clinic) == _rows(owner, clinic)


def test_application_can_add_a_seal_and_nobody_can_change_one(
    owner: psycopg.Connection, as_application: psycopg.Connection
) -> None:
    owner.execute(
        "INSERT INTO audit_seals VALUES (999, 1, 0, now(), %(id)s, now(), %(id)s, '', '', now(), NULL, 'x', '')"
        " ON CONFLICT DO NOTHING",
        {"id": uuid.uuid4()},
    )
    for change in ("UPDATE audit_seals SET rows = 1", "DELETE FROM audit_seals", "TRUNCATE audit_seals"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied"):
            as_application.execute(change.encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            owner.execute(change.encode())
    assert as_application.execute("SELECT count(*) FROM audit_seals WHERE clinic_id = 999").fetchone() == (1,)
    as_application.execute("SELECT set_config('telemed.role', 'admin', false)")
    assert as_application.execute("SELECT count(*) FROM audit_seals").fetchone() == (0,)


def _age(owner: psycopg.Connection) -> None:
    owner.execute("SET session_replication_role = replica")
    owner.execute("UPDATE audit_logs SET occurred_at = occurred_at - interval '2 minutes'")
    owner.execute("SET session_replication_role = origin")


def _sealed(owner: psycopg.Connection, clinic: Clinic) -> int:
    row = owner.execute("SELECT coalesce(sum(rows), 0) FROM audit_seals WHERE clinic_id = %s", [clinic.id]).fetchone()
    assert row is not None
    return int(row[0])


def _rows(owner: psycopg.Connection, clinic: Clinic) -> int:
    row = owner.execute(
        "SELECT count(*) FROM audit_logs WHERE clinic_id = %s AND occurred_at < %s", [clinic.id, datetime.now(UTC)]
    ).fetchone()
    assert row is not None
    return int(row[0])
