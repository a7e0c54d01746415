"""A wire between the API and PostgreSQL that breaks where a test says: at a message, in one of several ways.

Listens on TCP, because a unix socket knows no reset; goes on to the unix socket of the tests' server.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

from tests.failure.protocol import Conversation, Framer, Message

# FIN; RST; nothing any more, although both sides believe in the connection; FIN in the middle of a message; late.
CUT, RESET, BLACKHOLE, TORN, DELAY = "cut", "reset", "blackhole", "torn", "delay"
_CHUNK = 65_536
_LINGER_NOT = struct.pack("ii", 1, 0)


@dataclass
class Fault:
    """What happens to the message number `at` (from 0) of those that match, and to its connection from then on."""

    at: int
    how: str
    matches: Callable[[Message], bool] = lambda _: True
    delay_s: float = 0.0
    # What came to pass.
    is_done: bool = False
    seen: int = 0

    def meets(self, message: Message) -> bool:
        """Whether this is the message."""
        if self.is_done or not self.matches(message):
            return False
        self.seen += 1
        self.is_done = self.seen == self.at + 1
        return self.is_done


@dataclass
class Wire:
    """Takes connections on `port` and passes them on to the server of `url`."""

    url: str
    fault: Fault | None = None
    recorded: list[Message] | None = None
    port: int = 0
    _links: set["_Link"] = field(default_factory=set)
    _number: int = 0
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for link in list(self._links):
            link.end()
        await asyncio.gather(*(link.over.wait() for link in list(self._links)))

    @property
    def through(self) -> str:
        """The address for whoever shall go through it."""
        to = conninfo_to_dict(self.url)
        user, name = quote(str(to["user"]), safe=""), quote(str(to["dbname"]), safe="")
        return f"postgresql://{user}@127.0.0.1:{self.port}/{name}?sslmode=disable&gssencmode=disable"

    def heal(self) -> None:
        """No more faults; the server learns that whoever was cut off is gone."""
        self.fault = None
        self.let_go()

    def let_go(self) -> None:
        """The server learns that whoever was swallowed is gone; a fault that is yet to come stays."""
        for link in list(self._links):
            if link.is_black:
                link.end()

    def cut_all(self, *, reset: bool = False) -> None:
        """Every connection, at once."""
        for link in list(self._links):
            link.end(reset=reset)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to = conninfo_to_dict(self.url)
        try:
            server = await asyncio.open_unix_connection(f"{to['host']}/.s.PGSQL.{to['port']}")
        except OSError:
            writer.close()
            return
        self._number += 1
        link = _Link(self, self._number, (reader, writer), server)
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)


_Side = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Link:
    """One connection, in both directions."""

    def __init__(self, wire: Wire, number: int, client: _Side, server: _Side) -> None:
        self._wire, self._number = wire, number
        self._client, self._server = client, server
        self._conversation = Conversation()
        self.is_black = False
        self.over = asyncio.Event()

    async def run(self) -> None:
        """Pass on, until one side has left or the wire is cut."""
        try:
            await asyncio.gather(self._pump(is_from_client=True), self._pump(is_from_client=False))
        finally:
            self.end()
            self.over.set()

    def end(self, *, reset: bool = False) -> None:
        """Cut it, for both sides."""
        for _, writer in (self._client, self._server):
            if reset and writer is self._client[1]:
                with suppress(OSError):
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
                writer.transport.abort()
            else:
                with suppress(OSError):
                    writer.close()

    async def _pump(self, *, is_from_client: bool) -> None:
        reader, writer = (self._client[0], self._server[1]) if is_from_client else (self._server[0], self._client[1])
        framer = Framer(begins_untyped=is_from_client)
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                if self._wire.fault is None and self._wire.recorded is None and not self.is_black:
                    # Nothing of interest may happen, but the conversation must be followed.
                    for kind, content in framer.feed(data):
                        self._read(kind, content, is_from_client=is_from_client)
                    if writer.is_closing():
                        break
                    writer.write(data)
                else:
                    for kind, content in framer.feed(data):
                        await self._pass_on(writer, self._read(kind, content, is_from_client=is_from_client))
                await writer.drain()
        # In a black hole nobody hears that the other one has left.
        if not self.is_black:
            self.end()

    def _read(self, kind: str, content: bytes, *, is_from_client: bool) -> Message:
        talk = self._conversation
        statement = talk.asked(kind, content) if is_from_client else talk.answered(kind)
        return Message(self._number, is_from_client, kind, statement, content)

    async def _pass_on(self, writer: asyncio.StreamWriter, message: Message) -> None:
        if self._wire.recorded is not None:
            self._wire.recorded.append(message)
        fault = self._wire.fault
        if not self.is_black and fault is not None and fault.meets(message):
            if fault.how == DELAY:
                await asyncio.sleep(fault.delay_s)
            else:
                self._break(writer, message, fault.how)
        if not self.is_black and not writer.is_closing():
            writer.write(message.content)

    def _break(self, writer: asyncio.StreamWriter, message: Message, how: str) -> None:
        if how == BLACKHOLE:
            self.is_black = True
            return
        if how == TORN:
            writer.write(message.content[: len(message.content) // 2])
        self.end(reset=how == RESET)
