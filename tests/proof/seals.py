"""Edits of a sealed audit log by somebody with every right are all found; inserts from all sides raise no alarm."""

import asyncio
import contextlib
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import psycopg

from app.audit.seals import jobs, service
from app.audit.seals.chain import Chain, Finding
from app.audit.seals.rules import Seal
from app.db import embedded, migrate, turns
from app.db.database import Database
from app.kit.errors import Unavailable
from app.kit.signing import PublicKeys, Signer
from tests.conftest import settings_for
from tests.proof.figures import Figure, Scenario, at_least, exactly, none, told
from tests.vault import ELSEWHERE, HERE, PAST_TRIGGERS, Vault

ROWS_HERE, ROWS_ELSEWHERE, BATCH = 300, 40, 10
# In service a row waits for a minute; here transactions are younger, and older, than what the job waits for.
GRACE = timedelta(seconds=1)
SLOW_S, SLOWEST_S = 1.5, 6.0
WRITERS, SEALERS = 8, 2

_ROW = "clinic_id = 1 AND request_id = 'request-{0}'"
_COLUMNS = {
    "id": "gen_random_uuid()",
    "occurred_at": "occurred_at + interval '{0} microseconds'",
    "actor_id": "gen_random_uuid()",
    "actor_role": "'role {0}'",
    "action": "'action {0}'",
    "entity_type": "'type {0}'",
    "entity_id": "'id {0}'",
    "outcome": "CASE outcome WHEN 'success' THEN 'denied' ELSE 'success' END",
    "request_id": "'request x{0}'",
    "details": "details || jsonb_build_object('x', {0})",
    "subject_id": "gen_random_uuid()",
    "clinic_id": "2",
}
_SEAL_COLUMNS = {
    "rows": "rows + {0}",
    "first_at": "first_at - interval '{0} microseconds'",
    "first_id": "gen_random_uuid()",
    "last_at": "last_at + interval '{0} microseconds'",
    "last_id": "gen_random_uuid()",
    "root": "sha256('{0}')",
    "previous": "sha256('{0}')",
    "sealed_at": "sealed_at - interval '{0} seconds'",
    "dropped_before": "now() + interval '{0} days'",
    "key_id": "'{0}'",
    "signature": "sha512('{0}')",
}


class Editor:
    """One random edit at a time, and everything as it was again."""

    def __init__(self, log: Vault, dice: random.Random) -> None:
        self.log, self.dice = log, dice
        self.kinds: dict[str, Callable[[], None]] = {
            "change": self.change, "delete": self.delete, "insert": self.insert, "swap": self.swap,
            "truncate": self.truncate, "edit a seal": self.edit_seal, "delete a seal": self.delete_seal,
            "swap seals": self.swap_seals, "seal with another key": self.forge,
        }  # fmt: skip
        log.edit("CREATE TABLE kept_logs AS SELECT * FROM audit_logs")
        log.edit("CREATE TABLE kept_seals AS SELECT * FROM audit_seals")
        self.seals = len(log.asks("SELECT FROM audit_seals WHERE clinic_id = 1"))

    def change(self) -> None:
        column, number = self.dice.choice(list(_COLUMNS)), self._number()
        value = _COLUMNS[column].format(self.dice.randint(1, 999))
        self._edit(f"UPDATE audit_logs SET {column} = {value} WHERE {_ROW.format(number)}")

    def delete(self) -> None:
        self._edit(f"DELETE FROM audit_logs WHERE {_ROW.format(self._number())}")

    def insert(self) -> None:
        """Anywhere before the last row that is sealed, by its time or before all times."""
        ago = f"occurred_at - interval '{self.dice.randint(1, 10**9)} microseconds'"
        moment = self.dice.choice(["occurred_at", ago, "'-infinity'::timestamptz"])
        self._edit(
            f"INSERT INTO audit_logs SELECT clinic_id, '{self._id()}', {moment}, actor_id, actor_role, action,"
            f" entity_type, entity_id, outcome, request_id, details, subject_id FROM audit_logs"
            f" WHERE {_ROW.format(self.dice.randint(1, ROWS_HERE - 1))}"
        )

    def swap(self) -> None:
        one, other = self.dice.sample(range(1, ROWS_HERE + 1), 2)
        self._edit(
            "UPDATE audit_logs AS a SET occurred_at = b.occurred_at FROM audit_logs AS b WHERE a.clinic_id = 1 AND"
            f" b.clinic_id = 1 AND (a.request_id, b.request_id) IN (('request-{one}', 'request-{other}'),"
            f" ('request-{other}', 'request-{one}'))"
        )

    def truncate(self) -> None:
        """The newest seals, and the rows that they are over: what is left is whole."""
        left = self.dice.randint(0, self.seals - 1)
        self._edit(f"DELETE FROM audit_seals WHERE clinic_id = 1 AND number > {left}")
        self._edit(f"DELETE FROM audit_logs WHERE clinic_id = 1 AND (details ->> 'n')::int > {left * BATCH}")

    def edit_seal(self) -> None:
        column = self.dice.choice(list(_SEAL_COLUMNS))
        value = _SEAL_COLUMNS[column].format(self.dice.randint(1, 999))
        self._edit(f"UPDATE audit_seals SET {column} = {value} WHERE clinic_id = 1 AND number = {self._seal()}")

    def delete_seal(self) -> None:
        self._edit(f"DELETE FROM audit_seals WHERE clinic_id = 1 AND number = {self._seal()}")

    def swap_seals(self) -> None:
        one, other = self.dice.sample(range(1, self.seals + 1), 2)
        for before, after in ((one, 10_000), (other, one), (10_000, other)):
            self._edit(f"UPDATE audit_seals SET number = {after} WHERE clinic_id = 1 AND number = {before}")

    def forge(self) -> None:
        """Delete a row and sign a seal that does not know it, under the name of the key."""
        number = self._seal()
        self._edit(f"DELETE FROM audit_logs WHERE {_ROW.format(number * BATCH)}")
        forged = Signer(self.dice.randbytes(32)).sign(b"whatever")
        self.log.edit(
            "UPDATE audit_seals SET rows = rows - 1, signature = %s WHERE clinic_id = 1 AND number = %s", forged, number
        )

    def restore(self) -> None:
        self.log.edit("TRUNCATE audit_logs, audit_seals")
        self.log.edit("INSERT INTO audit_logs SELECT * FROM kept_logs")
        self.log.edit("INSERT INTO audit_seals SELECT * FROM kept_seals")

    def _edit(self, statement: str) -> None:
        assert self.log.edit(statement), statement

    def _number(self) -> int:
        return self.dice.randint(1, ROWS_HERE)

    def _seal(self) -> int:
        return self.dice.randint(1, self.seals)

    def _id(self) -> str:
        return self.log.asks("SELECT gen_random_uuid()::text")[0][0]  # type: ignore[no-any-return]


def edits(*, edits: int, seed: int = 1) -> list[Figure]:
    """Random edits, each found with the public key and the newest checkpoint; without edit, nothing is found."""
    with _log() as log:
        log.add(1, ROWS_HERE)
        log.add(1, ROWS_ELSEWHERE, clinic_id=ELSEWHERE)
        log.seal_all(batch=BATCH)
        newest = log.newest()
        return asyncio.run(_edit_and_look(log, Editor(log, random.Random(seed)), edits, newest))


async def _edit_and_look(log: Vault, editor: Editor, edits: int, newest: Seal) -> list[Figure]:
    made: Counter[str] = Counter()
    found: Counter[str] = Counter()
    by_checkpoint_alone = alarms = others = 0
    async with _database(log.url) as db:
        for number in range(edits):
            # Each kind in turn, so that none is left to chance.
            name = list(editor.kinds)[number % len(editor.kinds)]
            editor.kinds[name]()
            made[name] += 1
            with_key = await _findings(db, log, HERE, {})
            checked = with_key or await _findings(db, log, HERE, {newest.number: newest.hash})
            found[name] += bool(checked)
            by_checkpoint_alone += bool(checked) and not with_key
            # A row that was moved to the other clinic is found there, too.
            others += name != "change" and bool(await _findings(db, log, ELSEWHERE, {}))
            editor.restore()
            alarms += bool(await _findings(db, log, HERE, {newest.number: newest.hash}))
    return [
        *(exactly(f"edits found: {name}", found[name], made[name]) for name in made),
        exactly("edits found of all", found.total(), edits),
        told("of these by the checkpoint alone", by_checkpoint_alone),
        none("findings when the edit is undone", alarms),
        none("findings in the clinic that was not edited", others),
    ]


def inserts(*, rows: int, seed: int = 1) -> list[Figure]:
    """Writers whose transactions overlap and commit out of order, two sealers, and somebody who checks all the time."""
    with _log() as log:
        writers = [Writer(log.url, rows // WRITERS, seed + number) for number in range(WRITERS)]
        figures = asyncio.run(_seal_meanwhile(log, writers))
        written = sum(writer.rows for writer in writers)
        return [at_least("rows inserted", written, rows), *figures]


class Writer(threading.Thread):
    """Inserts rows in transactions that last from no time to longer than the job waits before it asks."""

    def __init__(self, url: str, rows: int, seed: int) -> None:
        super().__init__(daemon=True)
        self._url, self._to_write, self._dice = url, rows, random.Random(seed)
        self.rows = self.transactions = 0

    def run(self) -> None:
        with psycopg.connect(self._url) as connection:
            slowest = True
            while self.rows < self._to_write:
                count = self._dice.randint(1, 40)
                connection.execute(
                    "INSERT INTO audit_logs (clinic_id, id, action, entity_type, outcome, request_id)"
                    " SELECT %s, gen_random_uuid(), 'consultation.read', 'consultation', 'success', number::text"
                    " FROM generate_series(1, %s) AS number",
                    [self._dice.choice((HERE, ELSEWHERE)), count],
                )
                time.sleep(SLOWEST_S if slowest else self._pause_s())
                slowest = False
                if self._dice.random() < 0.05:
                    connection.rollback()
                    continue
                connection.commit()
                self.rows += count
                self.transactions += 1

    def _pause_s(self) -> float:
        return SLOW_S if self._dice.random() < 0.002 else self._dice.random() * 0.03


class Watch:
    """Those who seal and check while others write, and what they saw."""

    def __init__(self, log: Vault, writers: list[Writer]) -> None:
        self._log, self._writers = log, writers
        self.alarms = self.checks = self.rounds = self.checked = 0

    def is_over(self) -> bool:
        return not any(writer.is_alive() for writer in self._writers)

    async def seal(self) -> None:
        async with _database(self._log.url) as db:
            while not self.is_over():
                with contextlib.suppress(Unavailable):
                    self.rounds += bool(await jobs.seal(db, signer=self._log.signer, grace=GRACE))
                await asyncio.sleep(0.2)

    async def check(self) -> None:
        async with _database(self._log.url) as db:
            while not self.is_over():
                await self.check_all(db)
                self.checks += 1
                await asyncio.sleep(0.2)

    async def check_all(self, db: Database) -> None:
        self.checked = 0
        for clinic_id in (HERE, ELSEWHERE):
            chain, found = await _verified(db, self._log, clinic_id, {})
            self.alarms += len(found)
            self.checked += chain.rows


async def _seal_meanwhile(log: Vault, writers: list[Writer]) -> list[Figure]:
    watch = Watch(log, writers)
    for writer in writers:
        writer.start()
    await asyncio.gather(watch.check(), *(watch.seal() for _ in range(SEALERS)))
    written = sum(writer.rows for writer in writers)
    async with _database(log.url) as db:
        while await jobs.seal(db, signer=log.signer, grace=timedelta()):
            pass
        started = time.monotonic()
        await watch.check_all(db)
        checked_s = time.monotonic() - started
    return [
        none("false alarms, meanwhile and at the end", watch.alarms),
        exactly("rows under a seal at the end", watch.checked, written),
        told("transactions", sum(writer.transactions for writer in writers)),
        told("rounds that sealed, meanwhile", watch.rounds),
        told("checks of the whole log, meanwhile", watch.checks),
        told("rows checked a second", written / checked_s),
    ]


async def _findings(db: Database, log: Vault, clinic_id: int, checkpoints: dict[int, bytes]) -> list[Finding]:
    return (await _verified(db, log, clinic_id, checkpoints))[1]


async def _verified(
    db: Database, log: Vault, clinic_id: int, checkpoints: dict[int, bytes]
) -> tuple[Chain, list[Finding]]:
    found: list[Finding] = []
    keys = PublicKeys.of([log.signer.public])
    chain = await service.verify(db, clinic_id=clinic_id, keys=keys, checkpoints=checkpoints, tell=found.append)
    return chain, found


@contextlib.asynccontextmanager
async def _database(url: str) -> AsyncIterator[Database]:
    db = Database(url, app_role="telemed_app", pool_max=2)
    await db.open()
    try:
        yield db
    finally:
        await db.close()


@contextlib.contextmanager
def _log() -> Iterator[Vault]:
    assert turns.BATCH_ROWS > BATCH
    with tempfile.TemporaryDirectory() as home, embedded.attach(Path(home)) as database:
        url = database.url("telemed_owner")
        migrate.upgrade(url, app_role="telemed_app")
        boss_url = database.url("postgres")
        with psycopg.connect(boss_url, autocommit=True, options=PAST_TRIGGERS) as boss:
            boss.execute("INSERT INTO clinics (clinic_id, slug) VALUES (2, 'elsewhere')")
            yield Vault(url, boss, settings_for(url))


EDITS = Scenario("edits", edits, short={"edits": 27}, full={"edits": 1_000}, is_seeded=True)
INSERTS = Scenario("inserts", inserts, short={"rows": 2_000}, full={"rows": 100_000}, is_seeded=True)
