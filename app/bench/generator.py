"""The load generator: one process, one thread, epoll and raw sockets.

A request costs it about 20 µs, a twentieth of what it costs the server; its share of the processor is reported beside
every figure. wrk would be cheaper, but it only sends as fast as it is answered, which hides the queue, and it cannot
tell whether a 409 was right.
"""

import gc
import heapq
import select
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import count
from typing import Self

from app.bench.requests import UNANSWERED, Request, Run, Sample, Schedule

RECEIVE_BYTES = 262_144
CONNECT_S_MAX = 10.0
# What was not answered so long after the end counts as unanswered.
DRAIN_S_MAX = 15.0
POLL_S_MAX = 0.5
# Answers are taken and requests are sent in turns of so many: a thousand that are due at once do not keep the answers
# waiting, or our own work would be measured as the server's.
ANSWERS_A_TURN, SENDS_A_TURN = 64, 32
# 429 and 503 may say when to come back.
_MAY_TELL_WHEN = frozenset({429, 503})
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length: "
_RETRY_AFTER = b"\r\nretry-after: "
_CLOSE = b"\r\nconnection: close"
# epoll counts in milliseconds; below this we wait by select, which counts in microseconds.
_COARSE_S = 0.05
# With so many requests on their way we look every other millisecond. To be woken for each answer cost us 24 µs a
# request, looking each millisecond 17, and both took the server's processor from it; the wait counts as the server's.
CROWDED, LOOK_EVERY_S = 128, 0.002

Clock = time.perf_counter


class _Connection:
    """A socket to the server; when it breaks, another one takes its place here."""

    __slots__ = ("buffer", "due", "fd", "head", "need", "request", "sent", "socket")

    def __init__(self, address: tuple[str, int]) -> None:
        self.due = self.sent = 0.0
        self.open(address)

    def open(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=CONNECT_S_MAX)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.fd = self.socket.fileno()
        self.request: Request | None = None
        self.buffer = self.head = b""
        # How many bytes the answer has, once its head is there.
        self.need = 0


class Generator:
    """So many connections to one server, kept from run to run; `crowded` is how many of them are a crowd."""

    def __init__(self, port: int, *, connections: int, crowded: int = CROWDED) -> None:
        self._address = ("127.0.0.1", port)
        self.crowded = crowded
        # Before the sockets: select takes no file descriptor above 1023.
        self.epoll = select.epoll()
        self.connections: dict[int, _Connection] = {}
        self.idle: deque[_Connection] = deque()
        try:
            for _ in range(connections):
                connection = _Connection(self._address)
                self._register(connection)
                self.idle.append(connection)
        except OSError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        for connection in self.connections.values():
            connection.socket.close()
        self.epoll.close()

    def closed_loop(self, requests: Iterable[Request], *, seconds: float = float("inf")) -> Run:
        """Each connection sends the next request as soon as it has its answer, and rests when told `Retry-After`."""
        return _Loop(self, (), requests, seconds=seconds, leaves_unsent=False).run_to_its_end()

    def open_loop(self, schedule: Schedule, *, seconds: float, leaves_unsent: bool = False) -> Run:
        """Each request is due at its second from the beginning, whether or not the earlier ones are answered.

        What is due and could not be sent by the end is sent late, and counted so, unless it `leaves_unsent`.
        """
        return _Loop(self, schedule, (), seconds=seconds, leaves_unsent=leaves_unsent).run_to_its_end()

    def reconnect(self, connection: _Connection) -> None:
        """Give a broken connection a new socket."""
        del self.connections[connection.fd]
        with suppress(OSError):
            self.epoll.unregister(connection.fd)
        connection.socket.close()
        connection.open(self._address)
        self._register(connection)

    def _register(self, connection: _Connection) -> None:
        self.connections[connection.fd] = connection
        self.epoll.register(connection.fd, select.EPOLLIN)


class _Loop:
    """One run: what is due is sent, what is answered is noted, until nothing is left."""

    def __init__(
        self,
        generator: Generator,
        schedule: Schedule,
        stream: Iterable[Request],
        *,
        seconds: float,
        leaves_unsent: bool,
    ) -> None:
        self._generator = generator
        self._idle = generator.idle
        self._schedule = iter(schedule)
        self._upcoming = next(self._schedule, None)
        self._stream: Iterator[Request] | None = iter(stream) if stream != () else None
        self._seconds = seconds
        self._leaves_unsent = leaves_unsent
        self._waiting: deque[tuple[float, Request]] = deque()
        # What answers ask to be sent later, and connections that were told to come back later, by time.
        self._later: list[tuple[float, int, Request]] = []
        self._resting: list[tuple[float, int, _Connection]] = []
        self._order = count()
        self._run = Run(len(generator.connections))
        self._began = Clock()

    def run_to_its_end(self) -> Run:
        """Until everything is answered, or `DRAIN_S_MAX` after the end."""
        # Hundreds of thousands of samples and no cycle among them: looking for one cost a twentieth of our time.
        gc.disable()
        try:
            return self._run_to_its_end()
        finally:
            gc.enable()

    def _run_to_its_end(self) -> Run:
        cpu = time.process_time()
        self._began = Clock()
        while True:
            now = Clock() - self._began
            self._note_what_is_due(now)
            self._send()
            if self._is_done() or now > self._seconds + DRAIN_S_MAX:
                break
            self._take_answers(now)
        run = self._run
        run.drained_s = Clock() - self._began
        self._leave(self._waiting)
        self._give_up()
        run.seconds = min(self._seconds, Clock() - self._began)
        run.cpu_seconds = time.process_time() - cpu
        return run

    def _note_what_is_due(self, now: float) -> None:
        later, resting, waiting = self._later, self._resting, self._waiting
        while later and later[0][0] <= now:
            due, _, request = heapq.heappop(later)
            waiting.append((due, request))
        while resting and resting[0][0] <= now:
            self._idle.append(heapq.heappop(resting)[2])
        upcoming, latest = self._upcoming, min(now, self._seconds)
        while upcoming and upcoming[0] <= latest:
            waiting.append(upcoming)
            upcoming = next(self._schedule, None)
        self._upcoming = upcoming
        if now < self._seconds:
            return
        self._upcoming = self._stream = None
        if self._leaves_unsent:
            self._leave(waiting)
            self._leave([(due, request) for due, _, request in later if due <= self._seconds])
            waiting.clear()
            later.clear()

    def _leave(self, unsent: Iterable[tuple[float, Request]]) -> None:
        self._run.unsent_waited_s += [self._seconds - due for due, _ in unsent]

    def _send(self) -> None:
        idle, waiting = self._idle, self._waiting
        for _ in range(SENDS_A_TURN):
            if not idle:
                return
            if waiting:
                due, request = waiting.popleft()
                self._send_one(idle.popleft(), request, due)
            elif self._stream is not None:
                following = next(self._stream, None)
                if following is None:
                    self._stream = None
                    return
                self._send_one(idle.popleft(), following, None)
            else:
                return

    def _send_one(self, connection: _Connection, request: Request, due: float | None) -> None:
        sent = Clock() - self._began
        connection.request = request
        connection.sent = sent
        connection.due = sent if due is None else due
        try:
            # Far below what a socket's buffer takes.
            connection.socket.send(request.data)
        except OSError:
            # A broken one is noticed when it is read.
            return

    def _is_done(self) -> bool:
        if self._waiting or self._later or self._upcoming or self._stream is not None:
            return False
        return len(self._idle) + len(self._resting) == len(self._generator.connections)

    def _take_answers(self, now: float) -> None:
        connections = self._generator.connections
        events = self._generator.epoll.poll(0, ANSWERS_A_TURN) or self._wait(now)
        # One time for all: they were there when we looked, and what we do with them is our own work.
        ended = Clock() - self._began
        for fd, _ in events:
            connection = connections[fd]
            request = connection.request
            answer = self._receive(connection, ended)
            if answer is not None and request is not None:
                self._go_on(connection, request, answer, ended)

    def _wait(self, now: float) -> list[tuple[int, int]]:
        if self._idle and (self._waiting or self._stream is not None):
            return []
        pause = self._next_at(now) - (Clock() - self._began)
        if self._is_crowded():
            time.sleep(LOOK_EVERY_S)
            return self._generator.epoll.poll(0, ANSWERS_A_TURN)
        if pause <= 0:
            return []
        if pause > _COARSE_S:
            return self._generator.epoll.poll(pause - _COARSE_S / 2, ANSWERS_A_TURN)
        select.select([self._generator.epoll], [], [], pause)
        return self._generator.epoll.poll(0, ANSWERS_A_TURN)

    def _is_crowded(self) -> bool:
        return len(self._generator.connections) - len(self._idle) - len(self._resting) >= self._generator.crowded

    def _next_at(self, now: float) -> float:
        """When there is something to do apart from taking answers."""
        next_at = now + POLL_S_MAX
        if self._resting:
            next_at = min(next_at, self._resting[0][0])
        if now < self._seconds:
            next_at = min(next_at, self._seconds)
        if self._idle:
            # With every connection busy, what becomes due can only wait; it keeps its time.
            if self._later:
                next_at = min(next_at, self._later[0][0])
            if self._upcoming:
                next_at = min(next_at, self._upcoming[0])
        return next_at

    def _go_on(self, connection: _Connection, request: Request, answer: tuple[int, bytes, float], ended: float) -> None:
        status, body, retry_after = answer
        if request.then is not None:
            for delay, follower in request.then(status, body, retry_after):
                heapq.heappush(self._later, (ended + delay, next(self._order), follower))
        elif retry_after and self._stream is not None:
            heapq.heappush(self._resting, (ended + retry_after, next(self._order), connection))
            return
        self._idle.append(connection)

    def _receive(self, connection: _Connection, ended: float) -> tuple[int, bytes, float] | None:
        """Status, body and Retry-After, once the whole answer is there."""
        try:
            data = connection.socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:
            return self._reconnect(connection, ended)
        buffer = connection.buffer + data if connection.buffer else data
        need = connection.need
        if not need:
            end = buffer.find(_HEAD_END)
            if end < 0:
                connection.buffer = buffer
                return None
            connection.head = buffer[: end + 2]
            need = end + len(_HEAD_END) + int(_header(connection.head, _LENGTH) or 0)
        if len(buffer) < need:
            connection.buffer, connection.need = buffer, need
            return None
        return self._note(connection, buffer, ended)

    def _note(self, connection: _Connection, buffer: bytes, ended: float) -> tuple[int, bytes, float]:
        request = connection.request
        if request is None:
            raise ConnectionError(f"an answer that nobody asked for: {buffer[:80]!r}")
        status = int(buffer[9:12])
        self._run.samples.append(Sample(request, connection.due, connection.sent, ended, status))
        head, body, retry_after = connection.head, b"", 0.0
        if request.then is not None:
            body = buffer[len(head) + 2 :]
        if status in _MAY_TELL_WHEN and (request.then is not None or self._stream is not None):
            retry_after = float(_header(head, _RETRY_AFTER) or 0)
        connection.request = None
        if connection.buffer:
            connection.buffer, connection.need = b"", 0
        if _CLOSE in head:
            self._generator.reconnect(connection)
        return status, body, retry_after

    def _reconnect(self, connection: _Connection, ended: float) -> tuple[int, bytes, float] | None:
        """A broken connection answers `UNANSWERED` to whoever waited; one that rested breaks unnoticed."""
        request = connection.request
        self._run.reconnects += 1
        self._generator.reconnect(connection)
        if request is None:
            return None
        self._run.samples.append(Sample(request, connection.due, connection.sent, ended, UNANSWERED))
        return UNANSWERED, b"", 0.0

    def _give_up(self) -> None:
        """Count what is unanswered, and make every connection ready for the next run."""
        ended = Clock() - self._began
        for connection in list(self._generator.connections.values()):
            if connection.request is not None:
                request = connection.request
                self._run.samples.append(Sample(request, connection.due, connection.sent, ended, UNANSWERED))
                self._generator.reconnect(connection)
                self._idle.append(connection)
        self._idle.extend(connection for _, _, connection in self._resting)


def _header(head: bytes, name: bytes) -> bytes | None:
    """The value of a header; `name` in lower case from line end to colon, `head` with its last line's end."""
    at = head.find(name)
    if at < 0:
        head = head.lower()
        at = head.find(name)
        if at < 0:
            return None
    return head[at + len(name) : head.index(b"\r", at + len(name))]
