"""An application in this process, on a wire of its own that a test can break."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from httpx2 import ASGITransport, AsyncClient

from app import worker
from app.db import database, session
from app.db.database import Database
from app.main import create_app
from tests.conftest import settings_for
from tests.failure.protocol import GOODBYE, STARTUP, Message
from tests.failure.story import World
from tests.failure.wire import Fault, Wire
from tests.proof.served import SECRET_KEY
from tests.proof.town import Town
from tests.proof.wire import Answer, Ask

# In place of 8, 5, 5 and 2 s (and of 8 s for a transaction), and in their order: a wire that swallows everything is
# found out by waiting alone, and hundreds of them would wait for an hour. They are numbers at the border to PostgreSQL,
# not code that is replaced.
ANSWER_S, STATEMENT_MS, IDLE_MS, LOCK_MS = 1, 600, 600, 300
# The poll of revocations and what a connection begins with share the pool, and belong to no request.
_OF_THE_HOUSE = ("FROM revocations", "SET transaction_timeout")


@contextmanager
def impatient() -> Iterator[None]:
    """Time-outs that a test can sit through."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "FIRST_AFTER_S", (86_400.0, 86_400.0))
        patch.setattr(database, "STATEMENT_TIMEOUT_MS", STATEMENT_MS)
        patch.setattr(database, "IDLE_IN_TRANSACTION_TIMEOUT_MS", IDLE_MS)
        patch.setattr(database, "LOCK_TIMEOUT_MS", LOCK_MS)
        patch.setattr(session, "ANSWER_TIMEOUT_S", ANSWER_S)
        patch.setattr(database, "TRANSACTION_TIMEOUT_MS", ANSWER_S * 1000)
        yield


class House:
    """The application, the wire to its database, and a way to it for the world outside."""

    def __init__(self, wire: Wire, client: AsyncClient, db: Database) -> None:
        self.wire, self.client, self.db = wire, client, db
        self.world = World(Town(wire.url), self.ask)

    async def ask(self, ask: Ask) -> Answer:
        headers = {} if ask.token is None else {"authorization": f"Bearer {ask.token}"}
        if ask.key is not None:
            headers["idempotency-key"] = ask.key
        json = {} if ask.body is None else {"json": ask.body}
        answer = await self.client.request(ask.method, ask.path, headers=headers, **json)
        return Answer(answer.status_code, dict(answer.headers), answer.content)

    async def knows_transaction_timeout(self) -> bool:
        """Whether PostgreSQL ends what nobody goes on with, also in the middle of a statement: from 17 on."""
        return await asyncio.to_thread(self._server_version) >= 170_000

    def _server_version(self) -> int:
        with self.world.town.tables() as tables:
            return tables.info.server_version

    async def with_fresh_connections(self) -> None:
        """Whatever is asked next is asked on a connection that is new: the longest conversation there is."""
        await self.db._pool.drain()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[House]:
    """A house on the database of the owner's address `url`."""
    async with Wire(url) as wire:
        app = create_app(settings_for(wire.through, secret_key=SECRET_KEY, log_level="error"))
        async with app.router.lifespan_context(app):
            transport = ASGITransport(app=app, raise_app_exceptions=False)
            async with AsyncClient(transport=transport, base_url="http://house") as client:
                yield House(wire, client, app.state.db)
            # Nothing may wait for a server that a black hole has swallowed.
            wire.heal()


def of_a_request(message: Message) -> bool:
    """Whether the message is of a statement that a request asked for."""
    return message.statement not in (STARTUP, GOODBYE) and not any(
        words in message.statement for words in _OF_THE_HOUSE
    )


def of_the_startup(message: Message) -> bool:
    return message.statement == STARTUP


def fault(at: int, how: str, *, in_startup: bool) -> Fault:
    return Fault(at, how, of_the_startup if in_startup else of_a_request)
