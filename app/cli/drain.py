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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from typing import Any

import uvicorn
from uvicorn.supervisors import Multiprocess

# Step 1: an event loop that is busy needs several turns to take in what waits.
TAKE_IN_S = 0.1
_SO_ATTACH_FILTER = 26
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
    """The process that starts the ones that serve. They share its listener, so step 1 is for it to do.

    So is Ctrl-C, which a terminal sends to all: a worker that is still importing would answer with a traceback.
    """

    def init_processes(self) -> None:
        """Start them, deaf to Ctrl-C."""
        with _ctrl_c_held_back():
            super().init_processes()

    def keep_subprocess_alive(self) -> None:
        """Start another one for each that died, as deaf."""
        with _ctrl_c_held_back():
            super().keep_subprocess_alive()

    def terminate_all(self) -> None:
        """Step 1, then SIGTERM for each worker."""
        for listener in self.sockets:
            _ignore_newcomers(listener)
        time.sleep(TAKE_IN_S)
        for listener in self.sockets:
            # Or it would go on accepting connections that no worker will ever see.
            listener.close()
        super().terminate_all()


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
