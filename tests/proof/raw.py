"""Any bytes on the socket of a real server, damaged requests and noise: never 5xx, never silence.

Alone: `python -m tests.proof raw [--short] [--seed N]`.
"""

import asyncio
import contextlib
import json
import random
import re
import secrets
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt

from tests.http.operations import Operation, operations
from tests.proof.figures import Figure, Scenario, at_least, none, told
from tests.proof.served import Served
from tests.proof.town import Town, Townsman

AT_ONCE = 48
# A server that waits for the rest of a request hears then that nothing comes; before, it would take that for a client
# who has left, and answer nothing.
REST_S = 0.5
PEOPLE_OF_A_ROLE = 40
# Of a server that reads, refuses and closes; far above what the busiest machine takes.
SILENCE_S_MAX = 10.0
NOISE_SHARE = 0.1
DAMAGES_MAX = 4
TOLD_MAX = 10
STATUS = re.compile(rb"HTTP/1\.1 (\d{3})[ \r]")
# What parsers of HTTP, addresses, JSON and databases have stumbled over.
TOKENS = (
    b"\x00", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\xff\xfe", b"\xed\xa0\x80", b"\\ud800", b"\\u0000", b"%00", b"%ff",
    b"%ed%a0%80", b"//", b"/../", b";", b"?", b"&&", b"#", b"{", b"[" * 3_000, b'{"a":' * 3_000, b"]", b'"', b"\\",
    b"1e999", b"-0", b"NaN", b"9" * 400, b"null", b"true", b" " * 5_000, b"A" * 70_000,
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n", b"Content-Length: -1\r\n",
    b"Content-Length: 99999999999999999999\r\n", b"Content-Length: 0\r\nContent-Length: 5\r\n",
    b"Expect: 100-continue\r\n", b"Upgrade: websocket\r\nConnection: Upgrade\r\n", b"Host: \xe2\x80\xae\r\n",
    b"Content-Type: application/json\xff\r\n", b"Content-Type: multipart/form-data; boundary=\r\n",
    b"Content-Encoding: gzip\r\n", b"Cookie: " + b"a=b; " * 4_000, b"Idempotency-Key: \xff\xff\xff\xff\xff\xff\r\n",
    b"Authorization: Bearer \x80\r\n", b"FFFFFFFFF\r\n", b"0\r\n\r\n",
)  # fmt: skip


@dataclass
class Heard:
    """What came back."""

    statuses: Counter[int] = field(default_factory=Counter)
    sent: int = 0
    closed: int = 0
    silent: list[bytes] = field(default_factory=list)
    errors: list[bytes] = field(default_factory=list)


def run(*, requests: int, seed: int = 0) -> list[Figure]:
    """`requests` connections, each with its bytes, then the end of what is sent."""
    seed = seed or secrets.randbelow(2**32)
    print(f"raw: seed {seed}")
    heard = Heard()
    with tempfile.TemporaryDirectory() as home, Served(Path(home)) as served:
        with served.database() as database:
            town = Town(database.url("telemed_owner"))
            people = [one for role in ("patient", "doctor", "admin") for one in town.people(role, PEOPLE_OF_A_ROLE)]
            with town.tables() as tables:
                # Some requests ask for the password.
                hashed = bcrypt.hashpw(secrets.token_bytes(16), bcrypt.gensalt(4)).decode()
                tables.execute("UPDATE users SET password_hash = %s WHERE clinic_id = %s", [hashed, town.clinic_id])
        asyncio.run(_storm(served.port, people, heard, requests, random.Random(seed)))
        is_alive, logged = served.is_ready(), served.errors_logged()
    for bad in [*heard.silent, *heard.errors, *logged][:TOLD_MAX]:
        print(f"     {bad[:600]!r}")
    return [
        at_least("connections", heard.sent, requests),
        *(told(f"answers of {status}", count) for status, count in sorted(heard.statuses.items())),
        told("closed without an answer", heard.closed),
        none("answers of 5xx", sum(count for status, count in heard.statuses.items() if status >= 500)),
        none(f"silent for {SILENCE_S_MAX:.0f} s", len(heard.silent)),
        none("errors in the log", len(logged)),
        none("servers that no longer serve", int(not is_alive)),
        # Otherwise it would be the parser of HTTP alone that is tried.
        at_least("reached an endpoint, %", 100 * _inside(heard) / requests, 20),
    ]


def _inside(heard: Heard) -> int:
    return sum(count for status, count in heard.statuses.items() if status not in (400, 431))


async def _storm(port: int, people: list[Townsman], heard: Heard, requests: int, drawn: random.Random) -> None:
    seeds = operations()

    async def client() -> None:
        while heard.sent < requests:
            heard.sent += 1
            sent = _bytes(seeds, people, drawn)
            try:
                answer = await asyncio.wait_for(_exchange(port, sent), SILENCE_S_MAX)
            except TimeoutError:
                heard.silent.append(sent)
                continue
            statuses = [int(status) for status in STATUS.findall(answer)]
            heard.statuses.update(statuses)
            heard.closed += not statuses
            if any(status >= 500 for status in statuses):
                heard.errors.append(sent)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(client())


async def _exchange(port: int, sent: bytes) -> bytes:
    """All that is answered until the server closes, which it must once nothing more will come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = bytearray()
    rest = asyncio.get_running_loop().call_later(REST_S, _ends, writer)
    try:
        writer.write(sent)
        await writer.drain()
        while received := await reader.read(1 << 16):
            answer += received
    except (ConnectionResetError, BrokenPipeError):
        pass
    finally:
        rest.cancel()
        writer.close()
    return bytes(answer)


def _ends(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.write_eof()


def _bytes(seeds: list[Operation], people: list[Townsman], drawn: random.Random) -> bytes:
    if drawn.random() < NOISE_SHARE:
        return drawn.randbytes(drawn.randrange(1, 3_000))
    head, body = _request(drawn.choice(seeds), drawn.choice(people), drawn)
    for _ in range(drawn.randint(1, DAMAGES_MAX)):
        # Bodies are where endpoints begin: half of the damage is theirs, and the length then tells the truth.
        if body and drawn.random() < 0.5:
            body = drawn.choice(DAMAGES)(body, drawn)
        else:
            head = drawn.choice(DAMAGES)(head, drawn) if drawn.random() < 0.5 else head
    return head.replace(b"@@", str(len(body)).encode()) + body


def _request(operation: Operation, person: Townsman, drawn: random.Random) -> tuple[bytes, bytes]:
    body = b""
    lines = [f"{operation.method} {operation.good_path()}{_query(operation, drawn)} HTTP/1.1", "Host: clinic"]
    if operation.needs_token:
        lines.append(f"Authorization: Bearer {person.token}")
    if operation.media_type:
        body = json.dumps(operation.good_body).encode()
        lines += [f"Content-Type: {operation.media_type}", "Content-Length: @@"]
    lines.append(f"Idempotency-Key: key-{drawn.getrandbits(64):x}")
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode(), body


def _query(operation: Operation, drawn: random.Random) -> str:
    names = [str(one.place[0]) for one in operation.parameters("query")]
    given = drawn.sample(names, drawn.randint(0, len(names)))
    values = ("1", "2030-01-01T00:00:00Z", "a", "open", "%F0%9F%92%8A", "true", "50")
    return "?" + "&".join(f"{name}={drawn.choice(values)}" for name in given) if given else ""


def _flip(data: bytes, drawn: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(drawn.randint(1, 8)):
        changed[drawn.randrange(len(changed))] = drawn.randrange(256)
    return bytes(changed)


def _cut(data: bytes, drawn: random.Random) -> bytes:
    begin = drawn.randrange(len(data))
    return data[:begin] + data[begin + drawn.randint(1, 40) :] or b"x"


def _repeat(data: bytes, drawn: random.Random) -> bytes:
    begin = drawn.randrange(len(data))
    end = begin + drawn.randint(1, 200)
    return data[:end] + data[begin:end] * drawn.randint(1, 20) + data[end:]


def _insert(data: bytes, drawn: random.Random) -> bytes:
    place = drawn.randrange(len(data) + 1)
    return data[:place] + drawn.choice(TOKENS) + data[place:]


def _add_header(data: bytes, drawn: random.Random) -> bytes:
    # Of a body: a line more.
    return data.replace(b"\r\n", b"\r\n" + drawn.choice(TOKENS), 1)


DAMAGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (_flip, _cut, _repeat, _insert, _add_header)

RAW = Scenario("raw", run, short={"requests": 500}, full={"requests": 50_000}, is_seeded=True)
