"""uvicorn, stopped without dropping a request.

uvicorn closes its listeners and every idle connection the moment it is told to stop: what the kernel had accepted for
it, and what was on its way on a kept connection, is answered with a reset. Here instead

1. the kernel ignores newcomers, and what it accepted before is taken in;
2. the listeners are closed: from now on newcomers are refused, and a proxy tries the next server;
3. a connection in use is closed after its answer, which says so; an idle one gets a moment for one more request
   (`wire.Protocol`).
"""

import asyncio
import ctypes
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from multiprocessing import resource_tracker
from typing import Any

import uvicorn
from uvicorn.supervisors.multiprocess import Multiprocess, Process

# Step 1: an event loop that is busy needs several turns to take in what waits.
TAKE_IN_S = 0.1
# uvloop takes in one newcomer of a listener in each turn, and a turn of a busy house is milliseconds: the last of a
# thousand waited for five seconds to be told 429. It takes one for each name by which it knows the listener.
NEWCOMERS_A_TURN = 16
_SO_ATTACH_FILTER = 26
Names = list[socket.socket]
# One BPF instruction, RET with the constant 0: keep no byte of any packet.
_DROP_ALL = struct.pack("HBBI", 0x06, 0, 0, 0)


class Server(uvicorn.Server):
    """One process that serves by itself."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Steps 1 to 3, then the application's own end."""
        for server in self.servers:
            for listener in server.sockets:
                _ignore_newcomers(listener)
        await asyncio.sleep(TAKE_IN_S)
        await super().shutdown(sockets)


class Workers(Multiprocess):
    """The process that starts the ones that serve, and keeps their listeners, so step 1 is for it to do.

    Each worker has a listener of its own, and the kernel shares newcomers out. From one that all shared, whoever was
    awake took everything: of two workers, one served all of thirty-two connections and the other none.

    Ctrl-C is for it too: a terminal sends it to all, and a worker that still imports would answer with a traceback.
    """

    def __init__(self, config: uvicorn.Config, listeners: Sequence[Names]) -> None:
        super().__init__(config, sockets=[])
        self._listeners = listeners

    def init_processes(self) -> None:
        """Start them, deaf to Ctrl-C."""
        with _ctrl_c_held_back():
            for names in self._listeners:
                process = Process(self.config, names)
                process.start()
                self.processes.append(process)

    def keep_subprocess_alive(self) -> None:
        """Start another one for each that died, as deaf, on the same listener: who came to it meanwhile waits there."""
        processes = self.processes
        with _ctrl_c_held_back():
            for index, names in enumerate(self._listeners):
                self.processes, self.sockets = [processes[index]], names
                super().keep_subprocess_alive()
                processes[index] = self.processes[0]
        self.processes = processes

    def terminate_all(self) -> None:
        """Step 1, then SIGTERM for each worker."""
        for names in self._listeners:
            _ignore_newcomers(names[0])
        time.sleep(TAKE_IN_S)
        for listener in chain.from_iterable(self._listeners):
            # Or it would go on accepting connections that no worker will ever see.
            listener.close()
        super().terminate_all()


def listeners(host: str, port: int, *, count: int) -> list[Names]:
    """One for each worker, all on one port. Raises `OSError` if the port is taken."""
    first = _bound(host, port)
    if count == 1:
        return [names_of(first)]
    if sys.platform != "linux":
        return [names_of(first)] * count
    # Somebody else's port would be shared without a word, if we had not just had it for ourselves.
    address = first.getsockname()[:2]
    first.close()
    return [names_of(_bound(*address, is_shared=True)) for _ in range(count)]


def names_of(listener: socket.socket) -> Names:
    """The listener under as many names as newcomers are taken in at a time."""
    return [listener, *(listener.dup() for _ in range(NEWCOMERS_A_TURN - 1))]


def _bound(host: str, port: int, *, is_shared: bool = False) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    listener.set_inheritable(True)
    return listener


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Hear Ctrl-C after the block; what is started in it inherits the blocked signal and never hears it."""
    # multiprocessing starts this one before the first process, and unblocks the signal when it has.
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _ignore_newcomers(listener: Any) -> None:
    """Let the kernel drop every packet for this listener; connections it has accepted are sockets of their own."""
    if sys.platform != "linux":
        return
    instruction = ctypes.create_string_buffer(_DROP_ALL)
    program = struct.pack("HP", 1, ctypes.addressof(instruction))
    # A kernel that takes no filter: a few newcomers are reset instead of refused.
    with suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
