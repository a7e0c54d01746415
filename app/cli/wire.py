"""One connection of `telemed serve`: it says goodbye before it leaves, and a crowd waits beside the door.

When a doctor opens a day, thousands send the same few bookings. They are served sixteen at a time, in the order in
which they came, and everybody else walks past them. Who would wait for too long is turned away before anything was
done: under four times the load most of the work is still work that was asked for (docs/decisions/0011).
"""

import asyncio
from collections import Counter, deque
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.cli import glance
from app.cli.glance import Glance
from app.http.edge import turned_away
from app.observability import logs

# Longer than a client in full swing thinks between two requests, and nobody notices it at Ctrl-C.
LINGER_S = 1.0
# Per process. At work: a quarter of a second of work. Of those who want what others are being served already, so many
# at a time, and so many waiting beside: three seconds of work.
AT_WORK_MAX = 256
ALIKE_AT_WORK_MAX, ALIKE_WAITING_MAX = 16, 2048
# A longer body is compared with no other.
ALIKE_BYTES_MAX = 1024
# An orchestrator that is turned away would restart us for being busy.
ALWAYS_SERVED = b"/health/"
TELL_EVERY_S = 1.0
# What comes before a head, if the client waits for leave to send its body.
_GO_ON = b"HTTP/1.1 100 "
_log = logs.logger("http")


class Door:
    """Who is let in, of all who come to this process."""

    def __init__(self) -> None:
        self._at_work: Counter[bytes] = Counter()
        self._alike_at_work = 0
        self._waiting: deque[tuple[Protocol, RequestResponseCycle, Any]] = deque()
        self._turned_away = 0

    def knock(self, protocol: "Protocol", cycle: RequestResponseCycle, app: Any) -> None:
        """Serve the request, let it wait, or turn it away."""
        wish = _wish(cycle)
        is_alike = self._at_work[wish] > 0 if wish else False
        if is_alike and self._alike_at_work >= ALIKE_AT_WORK_MAX:
            if len(self._waiting) < ALIKE_WAITING_MAX:
                self._waiting.append((protocol, cycle, app))
            else:
                self._turn_away(protocol, cycle)
        elif len(protocol.tasks) < AT_WORK_MAX or cycle.scope["raw_path"].startswith(ALWAYS_SERVED):
            self._let_in(protocol, cycle, app, wish, is_alike=is_alike)
        else:
            self._turn_away(protocol, cycle)

    def sends_away(self, wish: Glance) -> bool:
        """Whether there is no place for it, nor one to wait in its crowd, in a house that is full."""
        if wish.path.startswith(ALWAYS_SERVED) or _spelled(wish.path, wish.body) in self._at_work:
            return False
        self._count()
        return True

    def _let_in(
        self, protocol: "Protocol", cycle: RequestResponseCycle, app: Any, wish: bytes, *, is_alike: bool
    ) -> None:
        task = protocol.serve(cycle, app)
        if wish:
            self._at_work[wish] += 1
            self._alike_at_work += is_alike
            task.add_done_callback(lambda _: self._leave(wish, is_alike=is_alike))

    def _leave(self, wish: bytes, *, is_alike: bool) -> None:
        self._at_work[wish] -= 1
        if not self._at_work[wish]:
            del self._at_work[wish]
        self._alike_at_work -= is_alike
        while self._waiting and self._alike_at_work < ALIKE_AT_WORK_MAX:
            protocol, cycle, app = self._waiting.popleft()
            # Also if it is the only one of its kind by now: the crowd stays within its lane.
            self._let_in(protocol, cycle, app, _wish(cycle), is_alike=True)

    def _turn_away(self, protocol: "Protocol", cycle: RequestResponseCycle) -> None:
        protocol.turn_away(cycle)
        self._count()

    def _count(self) -> None:
        if not self._turned_away:
            # One line a second: thousands would be work of their own.
            asyncio.get_running_loop().call_later(TELL_EVERY_S, self._tell)
        self._turned_away += 1

    def _tell(self) -> None:
        _log.warning("requests turned away", count=self._turned_away)
        self._turned_away = 0


class Protocol(HttpToolsProtocol):
    """What uvicorn makes of each connection."""

    door = Door()
    _is_leaving = False
    _is_receiving = False
    # Of the next request no byte has come.
    _is_between = True
    _knocking: "tuple[RequestResponseCycle, Any] | None" = None

    def data_received(self, data: bytes) -> None:
        """Take in what came, and only then decide on what it begins: mostly the body came along."""
        if len(self.tasks) >= AT_WORK_MAX and self._is_between and not self._is_answering() and not self._is_leaving:
            wish = glance.at(data)
            if wish is not None and self.door.sends_away(wish):
                self.transport.write(turned_away(wish.request_id, self.server_state.default_headers, stays=True))
                return
        self._is_receiving = True
        super().data_received(data)
        self._is_receiving = False
        if self._knocking is not None:
            (cycle, app), self._knocking = self._knocking, None
            self.door.knock(self, cycle, app)

    def serve(self, cycle: RequestResponseCycle, app: Any) -> "asyncio.Task[None]":
        """Begin to answer."""
        if cycle.scope["method"] != "HEAD":
            cycle.transport = cast("asyncio.Transport", _InOne(self.transport))
        task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)
        return task

    def turn_away(self, cycle: RequestResponseCycle) -> None:
        """Answer 429 without looking any further."""
        cycle.response_complete = True
        # What is left of a body in pieces is not worth waiting for.
        stays = cycle.keep_alive and not cycle.more_body
        given_id = next((value for name, value in cycle.scope["headers"] if name == b"x-request-id"), None)
        self.transport.write(turned_away(given_id, self.server_state.default_headers, stays=stays))
        if stays:
            self.on_response_complete()
        else:
            self.transport.close()

    def shutdown(self) -> None:
        """Leave after the answer that is being made, or else after the next one, or else after `LINGER_S`."""
        if self._is_answering():
            super().shutdown()
            return
        self._is_leaving = True
        self._unset_keepalive_if_required()
        self.loop.call_later(LINGER_S, self._leave_if_idle)

    def on_message_begin(self) -> None:
        """The first byte of a request has come."""
        super().on_message_begin()
        self._is_between = False

    def on_message_complete(self) -> None:
        """The last byte of a request has come."""
        super().on_message_complete()
        self._is_between = True

    def on_headers_complete(self) -> None:
        """Begin with a request; while leaving, it is the last one."""
        super().on_headers_complete()
        if self._is_leaving:
            self.cycle.keep_alive = False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self._is_receiving:
            self._knocking = cycle, app
        else:
            # The next one of a connection that sent several at once.
            self.serve(cycle, app)

    def _leave_if_idle(self) -> None:
        if not self._is_answering():
            self.timeout_keep_alive_handler()

    def _is_answering(self) -> bool:
        # There is none before the first request, although uvicorn's type says otherwise.
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete


class _InOne:
    """What one answer is written to: its head waits for its body, and both go in one packet.

    uvicorn writes them one after the other, and uvloop sends each at once. It knows nothing of the request, which would
    be freed late if both knew each other.
    """

    __slots__ = ("_head", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        # None until there is one; nothing from when it has gone.
        self._head: bytes | None = None

    def write(self, data: bytes) -> None:
        """Send `data` with the head before it, unless it is the head."""
        if self._head is None and not data.startswith(_GO_ON):
            self._head = data
        else:
            self._send(data)

    def close(self) -> None:
        """Close the connection behind what was written."""
        if self._head:
            self._send(b"")
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether the connection is."""
        return self._transport.is_closing()

    def _send(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        # Whoever has left hears nothing, and that is no failure of the request: uvloop would raise an error.
        if not self._transport.is_closing():
            self._transport.write(data)


def _wish(cycle: RequestResponseCycle) -> bytes:
    """What is asked for, as far as requests can be alike; nothing for those without a body."""
    if not cycle.body or len(cycle.body) > ALIKE_BYTES_MAX:
        return b""
    return _spelled(cycle.scope["raw_path"], bytes(cycle.body))


def _spelled(path: bytes, body: bytes) -> bytes:
    return b"%s %s" % (path, body)
