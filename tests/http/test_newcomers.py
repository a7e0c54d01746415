"""How many newcomers are taken in at a time: in a busy house a turn of the event loop is long."""

import asyncio
import socket
from contextlib import ExitStack

import uvloop

from app.cli import drain

TURNS = 4


class Seen(asyncio.Protocol):
    """Counts who was taken in."""

    def __init__(self, all_seen: "list[Seen]") -> None:
        all_seen.append(self)


def test_newcomers_of_one_moment_are_taken_in_together() -> None:
    seen: list[Seen] = []

    async def takes_in(listener: socket.socket) -> int:
        loop = asyncio.get_running_loop()
        names = drain.names_of(listener)
        servers = [await loop.create_server(lambda: Seen(seen), sock=name) for name in names]
        with ExitStack() as newcomers:
            for _ in range(2 * TURNS):
                newcomers.enter_context(socket.create_connection(listener.getsockname()))
            for _ in range(TURNS):
                await asyncio.sleep(0)
        for server in servers:
            server.close()
        return len(seen)

    listener = socket.create_server(("127.0.0.1", 0))
    assert uvloop.run(takes_in(listener)) == 2 * TURNS
