"""The application on a socket, as `telemed serve` speaks, and bytes to send to it."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import uvicorn

from app.cli import wire
from app.main import create_app
from tests.conftest import settings_for

Address = tuple[str, int]


@contextlib.contextmanager
def served(database_url: str) -> Iterator[Address]:
    """The application behind uvicorn, with the options of `telemed serve`."""
    config = uvicorn.Config(
        create_app(settings_for(database_url)),
        port=0,
        http=wire.Protocol,
        access_log=False,
        log_config=None,
        server_header=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()
    server.should_exit = True
    thread.join()


def exchange(address: Address, *parts: bytes, pause_s: float = 0.0, half_close: bool = False) -> bytes:
    """Send the parts, and read until the server closes or has nothing more to say."""
    with socket.create_connection(address, timeout=3) as connection:
        for part in parts:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(part)
            time.sleep(pause_s)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        with contextlib.suppress(TimeoutError):
            while chunk := connection.recv(65536):
                received += chunk
                if b"\r\n\r\n" in received and b"connection: close" not in received.lower():
                    connection.settimeout(0.15)
        return received


def request(line: str, *headers: str | bytes, body: bytes = b"") -> bytes:
    lines = [line.encode(), b"Host: clinic", *(one.encode() if isinstance(one, str) else one for one in headers)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def status_of(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1.1 "), answer[:200]
    return int(answer[9:12])
