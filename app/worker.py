"""Background work: the only place that knows every job.

Each serving process has a worker; of all of them one at a time has its turn (`app/db/turns.py`). A job is safe to run
twice and to be killed half-way.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from app.audit import jobs as audit
from app.audit.seals import jobs as seals
from app.audit.seals import rules as seal_rules
from app.booking import jobs as booking
from app.db.database import Database
from app.identity.attempts import jobs as attempts
from app.identity.links import rules as link_rules
from app.identity.links import service as links
from app.identity.sessions import jobs as sessions
from app.kit.background import Background
from app.kit.errors import Unavailable
from app.kit.signing import Signer
from app.mail import service as mail
from app.observability import logs
from app.outbox import jobs as outbox
from app.prescription import jobs as prescription
from app.ratelimit import jobs as ratelimit
from app.settings import Settings

Job = Callable[[Database], Awaitable[int]]

# What must not be missed comes first.
JOBS: Mapping[str, Job] = {
    "audit.make_months": audit.make_months,
    "outbox.make_months": outbox.make_months,
    "outbox.drop_months": outbox.drop_months,
    "booking.forget_keys": booking.forget_keys,
    "prescription.forget_keys": prescription.forget_keys,
    "sessions.forget_expired": sessions.forget_expired,
    "attempts.forget_expired": attempts.forget_expired,
    "ratelimit.forget_counts": ratelimit.forget_counts,
}
# Not while a process starts, and not all processes of a deployment at one moment.
FIRST_AFTER_S = (30.0, 90.0)
EVERY_S = (3_300.0, 3_900.0)
# Whoever waits for a mail looks after some seconds; to ask in vain costs a millisecond.
MAIL_EVERY_S = (1.5, 2.5)
# What is not sealed yet can be changed without a trace.
SEAL_EVERY_S = (20.0, 40.0)

_log = logs.logger("worker")


class Worker(Background):
    """Runs all jobs soon after the start, then hourly. A job that fails is tried again in the next round.

    Or other jobs in another rhythm.
    """

    def __init__(
        self, db: Database, jobs: Mapping[str, Job] | None = None, *, every_s: tuple[float, float] | None = None
    ) -> None:
        super().__init__()
        self._db = db
        self._jobs = JOBS if jobs is None else jobs
        self._first_after_s, self._every_s = (FIRST_AFTER_S, EVERY_S) if every_s is None else (every_s, every_s)
        self._failing: set[str] = set()

    async def run_round(self) -> None:
        """Each job once, whatever becomes of the others."""
        for name, job in self._jobs.items():
            if not self.is_stopping:
                await self._run(name, job)

    async def _work_forever(self) -> None:
        await _pause(self._first_after_s)
        while not self.is_stopping:
            await self.run_round()
            await _pause(self._every_s)

    async def _run(self, name: str, job: Job) -> None:
        try:
            count = await job(self._db)
        except Unavailable:
            # The database is away, or somebody holds a lock: said once, not in every round.
            if name not in self._failing:
                _log.warning("job put off", job=name)
            self._failing.add(name)
        except Exception:  # noqa: BLE001 - a door of its own: a bug in one job must not end the others
            if name not in self._failing:
                _log.exception("job failed", job=name)
            self._failing.add(name)
        else:
            self._failing.discard(name)
            if count:
                _log.info("job done", job=name, count=count)


def postman(db: Database, settings: Settings, post: mail.Post) -> Worker:
    """Hands what is to be mailed to `post`, every few seconds; several at once never take the same."""
    key = settings.stable_key_for(link_rules.KEY)
    letters = {link_rules.MADE: partial(links.write_letter, key=key, public_url=settings.public_url)}
    return Worker(db, {"mail.send_due": partial(mail.send_due, post=post, letters=letters)}, every_s=MAIL_EVERY_S)


def sealer(db: Database, settings: Settings) -> Worker:
    """Seals the audit log's rows when they are a minute old; of several at once one does."""
    signer = Signer(settings.stable_key_for(seal_rules.KEY))
    return Worker(db, {"audit.seal": partial(seals.seal, signer=signer)}, every_s=SEAL_EVERY_S)


async def _pause(between_s: tuple[float, float]) -> None:
    await asyncio.sleep(random.uniform(*between_s))  # noqa: S311 - jitter, not a secret
