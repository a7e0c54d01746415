"""An audit log of its own in two clinics, its seals, and somebody with every right who edits both."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import psycopg

from app.audit.seals import jobs, rules, service
from app.audit.seals.chain import Chain, Finding
from app.audit.seals.rules import Seal
from app.db import embedded, turns
from app.db.database import Database
from app.kit.errors import Unavailable
from app.kit.signing import PublicKeys, Signer
from app.settings import Settings
from tests.conftest import cloned, settings_for
from tests.patience import eventually

ADD = (
    "INSERT INTO audit_logs (clinic_id, id, occurred_at, actor_id, actor_role, action, entity_type, entity_id, outcome,"
    " request_id, details, subject_id)"
    " SELECT %s, gen_random_uuid(), now() - interval '1 hour' + number * interval '1 second', gen_random_uuid(),"
    " 'doctor', 'consultation.read', 'consultation', gen_random_uuid()::text, 'success', 'request-' || number,"
    """ jsonb_build_object('größe', 1.50, 'n', number, 'list', '[1, null, "\\u00fc\\n"]'::jsonb),"""
    " CASE WHEN number %% 2 = 0 THEN gen_random_uuid() END FROM generate_series(%s::int, %s::int) AS number"
)
HERE, ELSEWHERE = 1, 2
# What a superuser says to be stopped by no trigger.
PAST_TRIGGERS = "-c session_replication_role=replica -c timezone=UTC"


class Vault:
    """Rows, seals, and both their enemies."""

    def __init__(self, url: str, boss: "psycopg.Connection[Any]", settings: Settings) -> None:
        self.url, self.boss, self.settings = url, boss, settings
        self.signer = Signer(settings.stable_key_for(rules.KEY))

    def add(self, first: int, last: int, *, clinic_id: int = HERE) -> None:
        """Rows of one minute an hour ago, by their second."""
        self.boss.execute(ADD.encode(), [clinic_id, first, last])

    def seal(self, *, signer: Signer | None = None, grace: timedelta = timedelta()) -> int:
        """One round of the job; without `grace` all is old enough."""
        return int(asyncio.run(self._with_db(lambda db: jobs.seal(db, signer=signer or self.signer, grace=grace))))

    def seal_if_settled(self, *, grace: timedelta) -> bool:
        """Whether anything was sealed: strangers on this server may hold us up."""
        with suppress(Unavailable):
            return bool(self.seal(grace=grace))
        return False

    def seal_all(self, *, batch: int = 10, grace: timedelta = timedelta()) -> None:
        """All that there is, so many rows at a time."""
        before, turns.BATCH_ROWS = turns.BATCH_ROWS, batch
        try:
            eventually(lambda: self.seal_if_settled(grace=grace), within_s=60)
        finally:
            turns.BATCH_ROWS = before

    def check(
        self, *, clinic_id: int = HERE, checkpoints: dict[int, bytes] | None = None, keys: list[bytes] | None = None
    ) -> tuple[Chain, list[Finding]]:
        """What `telemed audit verify` does."""
        found: list[Finding] = []
        trusted = PublicKeys.of([self.signer.public] if keys is None else keys)

        async def work(db: Database) -> Chain:
            return await service.verify(
                db, clinic_id=clinic_id, keys=trusted, checkpoints=checkpoints or {}, tell=found.append
            )

        return asyncio.run(self._with_db(work)), found

    def newest(self, *, clinic_id: int = HERE) -> Seal:
        seal = asyncio.run(self._with_db(lambda db: service.newest(db, clinic_id=clinic_id)))
        assert seal is not None
        return seal

    def edit(self, statement: str, *values: object) -> int:
        """As superuser, past triggers; how many rows."""
        return self.boss.execute(statement.encode(), values).rowcount

    def asks(self, query: str, *values: object) -> list[Any]:
        return self.boss.execute(query.encode(), values).fetchall()

    async def _with_db(self, work: Any) -> Any:
        db = Database(self.url, app_role="telemed_app", pool_max=2)
        await db.open()
        try:
            return await work(db)
        finally:
            await db.close()


@contextmanager
def vault(postgres: embedded.Attachment, name: str) -> Iterator[Vault]:
    """One with an empty log, in a database of its own."""
    name = f"{name}_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    with (
        cloned(postgres, name) as url,
        psycopg.connect(
            postgres.url("postgres", name),
            autocommit=True,
            options=PAST_TRIGGERS,
        ) as boss,
    ):
        boss.execute("INSERT INTO clinics (clinic_id, slug) VALUES (2, 'elsewhere') ON CONFLICT DO NOTHING")
        yield Vault(url, boss, settings_for(url))
