"""The database that a command works on: the embedded server (attached to, or started for as long as the command
runs), or the one of DATABASE_URL.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from app.cli.console import fail
from app.db import embedded, migrate, probe
from app.db.database import Database
from app.encryption.rules import KeyRing
from app.identity.passwords import Passwords
from app.settings import Settings, load

Result = TypeVar("Result")
OWNER = "telemed_owner"


@dataclass(frozen=True, slots=True)
class House:
    """Settings, and where the database is: for the owner, who migrates, and for the application."""

    settings: Settings
    owner_url: str
    app_url: str

    @property
    def key_ring(self) -> KeyRing:
        """What opens clinical text."""
        return KeyRing(self.settings.ring_of_field_keys)

    def migrate(self) -> None:
        """Bring the schema up to date."""
        try:
            migrate.upgrade(self.owner_url, app_role=self.settings.database_app_role)
        except migrate.MigrationFailed as error:
            fail(f"cannot migrate: {error}. Check DATABASE_URL and that its user may create tables.")

    def run(self, work: Callable[[Database, Passwords], Awaitable[Result]]) -> Result:
        """Do `work` with a database and a password hasher, as the application would."""
        if reason := probe.unreachable_because(self.app_url):
            # At once, where the application would wait for the database to come back.
            fail(f"the database cannot be reached: {reason}. See: telemed check")
        return asyncio.run(self._run(work))

    async def _run(self, work: Callable[[Database, Passwords], Awaitable[Result]]) -> Result:
        settings = self.settings
        db = Database(self.app_url, app_role=settings.database_app_role, pool_max=4)
        passwords = Passwords(pepper=settings.stable_key_for("passwords"), cost=settings.bcrypt_cost)
        await db.open()
        try:
            return await work(db, passwords)
        finally:
            passwords.close()
            await db.close()


@contextmanager
def opened() -> Iterator[House]:
    """The house, with its database reachable. Raises `SettingsError`, `EmbeddedServerError`."""
    settings = load()
    if settings.database_url is not None:
        yield House(settings, settings.database_url, settings.database_url)
        return
    with embedded.attach(settings.telemed_data_dir) as attachment:
        yield House(settings, attachment.url(OWNER), attachment.url(settings.database_app_role))
