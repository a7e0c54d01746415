"""The load generator: one process, one thread, epoll and raw sockets.

A request costs it about 20 µs, a twentieth of what it costs the server; its share of the processor is reported beside
every figure. wrk would be cheaper, but it only sends as fast as it is answered, which hides the queue, and it cannot
tell whether a 409 was right.
"""

import heapq
import select
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Self

RECEIVE_BYTES = 262_144
CONNECT_S_MAX = 10.0
# What was not answered so long after the end counts as unanswered.
DRAIN_S_MAX = 15.0
POLL_S_MAX = 0.5
# The status of a request that was sent and never answered, or whose connection broke.
UNANSWERED = 0
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length: "
_RETRY_AFTER = b"\r\nretry-after: "

Clock = time.perf_counter


@dataclass(slots=True)
class Request:
    """The bytes to send, the name under which its time is counted, and who wants the answer, if anybody does."""

    kind: str
    data: bytes
    # Takes status, body and Retry-After in seconds; gives what to send next, and after how many seconds.
    then: "Callable[[int, bytes, float], Iterable[tuple[float, Request]]] | None" = None


@dataclass(slots=True)
class Sample:
    """One request and its answer, in seconds from the beginning of the run."""

    kind: str
    due: float
    ended: float
    status: int

    @property
    def latency_ms(self) -> float:
        """Since it was due: what waited for a free connection waited for the server."""
        return (self.ended - self.due) * 1000


@dataclass(slots=True)
class Run:
    """What a run has measured."""

    connections: int
    samples: list[Sample] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    # Due within the run, never sent: every connection was busy to the end.
    unsent: int = 0
    reconnects: int = 0

    def statuses(self) -> Counter[int]:
        """How often each status was answered."""
        return Counter(sample.status for sample in self.samples)


class _Connection:
    __slots__ = ("buffer", "due", "fd", "need", "request", "socket")

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=CONNECT_S_MAX)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.fd = self.socket.fileno()
        self.request: Request | None = None
        self.due = 0.0
        self.buffer = b""
        # How many bytes the answer has, once its head is there.
        self.need = 0


class Generator:
    """So many connections to one server, kept from run to run."""

    def __init__(self, port: int, *, connections: int) -> None:
        self._address = ("127.0.0.1", port)
        self._epoll = select.epoll()
        self._all: dict[int, _Connection] = {}
        self._idle: deque[_Connection] = deque()
        for _ in range(connections):
            self._connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        for connection in self._all.values():
            connection.socket.close()
        self._epoll.close()

    def closed_loop(self, requests: Iterable[Request], *, seconds: float = float("inf")) -> Run:
        """Each connection sends the next request as soon as it has its answer, and rests when told `Retry-After`."""
        source = iter(requests)
        return self._run((None, source), seconds)

    def open_loop(self, requests: Iterable[tuple[float, Request]], *, seconds: float) -> Run:
        """Each request is due at its second from the beginning, whether or not the earlier ones are answered."""
        return self._run((iter(requests), None), seconds)

    def _run(
        self,
        sources: tuple[Iterator[tuple[float, Request]] | None, Iterator[Request] | None],
        seconds: float,
    ) -> Run:
        schedule, stream = sources
        run = Run(len(self._all))
        waiting: deque[tuple[float, Request]] = deque()
        later: list[tuple[float, int, Request]] = []
        resting: list[tuple[float, int, _Connection]] = []
        order = count()
        upcoming = next(schedule, None) if schedule else None
        cpu, began = time.process_time(), Clock()
        idle = self._idle
        while True:
            now = Clock() - began
            is_over = now >= seconds
            while later and later[0][0] <= now:
                due, _, request = heapq.heappop(later)
                waiting.append((due, request))
            while resting and resting[0][0] <= now:
                idle.append(heapq.heappop(resting)[2])
            while upcoming and upcoming[0] <= now and not is_over:
                waiting.append(upcoming)
                upcoming = next(schedule, None) if schedule else None
            while idle and waiting:
                due, request = waiting.popleft()
                self._send(idle.popleft(), request, due)
            while idle and stream and not is_over:
                following = next(stream, None)
                if following is None:
                    stream = None
                    break
                self._send(idle.popleft(), following, Clock() - began)
            is_all_answered = len(idle) + len(resting) == len(self._all)
            is_done = is_all_answered and not (waiting or later or (upcoming and not is_over) or (stream and not is_over))
            if is_done or now > seconds + DRAIN_S_MAX:
                break
            next_at = min(
                later[0][0] if later else now + POLL_S_MAX,
                resting[0][0] if resting else now + POLL_S_MAX,
                upcoming[0] if upcoming else now + POLL_S_MAX,
            )
            for fd, _event in self._epoll.poll(max(0.0, min(POLL_S_MAX, next_at - now))):
                answer = self._receive(self._all[fd], run, began)
                if answer is None:
                    continue
                connection, request, status, body, retry_after = answer
                ended = Clock() - began
                if request.then is not None:
                    for delay, follower in request.then(status, body, retry_after):
                        heapq.heappush(later, (ended + delay, next(order), follower))
                    idle.append(connection)
                elif retry_after and stream:
                    heapq.heappush(resting, (ended + retry_after, next(order), connection))
                else:
                    idle.append(connection)
        run.unsent = len(waiting)
        for connection in list(self._all.values()):
            if connection.request is not None:
                run.samples.append(Sample(connection.request.kind, connection.due, Clock() - began, UNANSWERED))
                self._reconnect(connection)
        idle.extend(connection for _, _, connection in resting)
        run.seconds = min(seconds, Clock() - began)
        run.cpu_seconds = time.process_time() - cpu
        return run

    def _connect(self) -> None:
        connection = _Connection(self._address)
        self._all[connection.fd] = connection
        self._epoll.register(connection.fd, select.EPOLLIN)
        self._idle.append(connection)

    def _reconnect(self, connection: _Connection) -> None:
        del self._all[connection.fd]
        with suppress(OSError):
            self._epoll.unregister(connection.fd)
        connection.socket.close()
        self._connect()

    def _send(self, connection: _Connection, request: Request, due: float) -> None:
        connection.request, connection.due = request, due
        with suppress(OSError):
            # Far below what a socket's buffer takes; a broken one is noticed when it is read.
            connection.socket.send(request.data)

    def _receive(
        self, connection: _Connection, run: Run, began: float
    ) -> tuple[_Connection, Request, int, bytes, float] | None:
        try:
            data = connection.socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        request = connection.request
        if not data:
            if request is not None:
                run.samples.append(Sample(request.kind, connection.due, Clock() - began, UNANSWERED))
            else:
                self._idle.remove(connection)
            run.reconnects += 1
            self._reconnect(connection)
            return None
        buffer = connection.buffer = connection.buffer + data if connection.buffer else data
        if not connection.need:
            end = buffer.find(_HEAD_END)
            if end < 0:
                return None
            at = buffer.find(_LENGTH, 0, end)
            length = int(buffer[at + len(_LENGTH) : buffer.index(b"\r", at + len(_LENGTH))]) if at >= 0 else 0
            connection.need = end + len(_HEAD_END) + length
        if len(buffer) < connection.need:
            return None
        assert request is not None, "nothing is answered that was not asked"
        status = int(buffer[9:12])
        run.samples.append(Sample(request.kind, connection.due, Clock() - began, status))
        body, retry_after = b"", 0.0
        if request.then is not None:
            body = buffer[buffer.find(_HEAD_END) + len(_HEAD_END) :]
        if status in {429, 503}:
            at = buffer.find(_RETRY_AFTER)
            retry_after = float(buffer[at + len(_RETRY_AFTER) : buffer.index(b"\r", at + 2)]) if at >= 0 else 0.0
        connection.request, connection.buffer, connection.need = None, b"", 0
        return connection, request, status, body, retry_after
