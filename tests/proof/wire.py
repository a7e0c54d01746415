"""A small HTTP/1.1 client that knows what happened to a connection.

An ordinary client hides the difference between "refused before anything was accepted" and "broke off after we had
sent something", and costs too much for a thousand connections beside the server on two cores.
"""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

ANSWER_S_MAX = 60.0


class Refused(Exception):
    """Nobody accepted the connection: the server has seen nothing."""


class Dropped(Exception):
    """The connection ended after something had been sent, and before the whole answer was there."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes

    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.content))

    @property
    def code(self) -> str | None:
        return self.json().get("code") if self.status >= 400 else None

    @property
    def is_replay(self) -> bool:
        return "idempotency-replayed" in self.headers

    @property
    def told(self) -> bytes:
        """The content without what a replay may change: the id of the present request."""
        if self.status < 400:
            return self.content
        return json.dumps({**self.json(), "request_id": ""}, sort_keys=True).encode()


@dataclass(frozen=True, slots=True)
class Ask:
    """One request."""

    method: str
    path: str
    token: str | None = None
    body: dict[str, Any] | None = None
    key: str | None = None

    def encoded(self) -> bytes:
        content = b"" if self.body is None else json.dumps(self.body).encode()
        lines = [f"{self.method} {self.path} HTTP/1.1", "host: localhost"]
        if self.token is not None:
            lines.append(f"authorization: Bearer {self.token}")
        if self.key is not None:
            lines.append(f"idempotency-key: {self.key}")
        if self.body is not None:
            lines += ["content-type: application/json", f"content-length: {len(content)}"]
        return "\r\n".join([*lines, "", ""]).encode() + content


def booking(token: str, slot_id: int, key: str) -> Ask:
    return Ask("POST", "/bookings/", token, {"slot_id": slot_id}, key)


def status_change(token: str, consultation_id: str, status: str) -> Ask:
    return Ask("PATCH", f"/consultations/{consultation_id}/status", token, {"status": status})


class Line:
    """One connection that is kept alive for as long as the server likes."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    @property
    def is_open(self) -> bool:
        return self._writer is not None and self._reader is not None and not self._reader.at_eof()

    async def open(self) -> "Line":
        try:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError as error:
            raise Refused from error
        return self

    async def ask(self, ask: Ask, *, release: asyncio.Barrier | None = None) -> Answer:
        """Send and wait for the answer; with `release`, all but the last byte is sent before the barrier opens."""
        if not self.is_open:
            self.close()
            await self.open()
        assert self._writer is not None
        content = ask.encoded()
        try:
            if release is not None:
                self._writer.write(content[:-1])
                await self._writer.drain()
                await release.wait()
                content = content[-1:]
            self._writer.write(content)
            async with asyncio.timeout(ANSWER_S_MAX):
                answer = await self._read()
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            self.close()
            raise Dropped from error
        if answer.headers.get("connection") == "close":
            self.close()
        return answer

    async def _read(self) -> Answer:
        assert self._reader is not None
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
        content = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return Answer(int(head[0].split(" ", 2)[1]), headers, content)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


async def opened(port: int, count: int) -> list[Line]:
    """Connections, all accepted; a hundred at a time, so that no queue overflows."""
    lines: list[Line] = []
    while len(lines) < count:
        lines += await asyncio.gather(*(Line(port).open() for _ in range(min(100, count - len(lines)))))
    return lines
