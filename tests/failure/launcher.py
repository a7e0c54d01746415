"""`python -m tests.failure.launcher`: starts serving processes that kill themselves at a chosen point.

Reads `start PORT POINT` and `kill PID` from its input, a line for each, and answers with the process id. Each is
forked from one that has imported everything, so that a start costs a tenth of a second instead of two; what it then
does is `telemed serve`. A negative point is never reached. `app/` knows nothing of this: what is counted is wrapped
here.
"""

import ctypes
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from app import main as application
from app import worker
from app.cli import serve
from app.db import database, session
from app.http import edge
from app.identity.revocations import sql as revocations
from app.observability import context

# What runs by itself belongs to no request.
OF_THE_HOUSE = {revocations.REVOKED_WITHIN.name, revocations.FORGET_OLDER.name}
LAST_WORD = "killed"
_PR_SET_PDEATHSIG = 1


class Doom:
    """Counts the points that one request passes, and ends the process at one of them."""

    def __init__(self, point: int) -> None:
        self._point, self._passed = point, 0

    def passes(self, what: str) -> None:
        if self._passed == self._point:
            print(f"{LAST_WORD} {os.getpid()} {what}", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        self._passed += 1

    def hang_over(self) -> None:
        """Before and after each statement, COMMIT, and each part of an answer."""
        run, transaction, send = session.Session.run, database.Database.transaction, edge._Answer.send
        doom = self

        async def doomed_run(runner: Any, statement: Any, values: Any) -> Any:
            if statement.name in OF_THE_HOUSE:
                return await run(runner, statement, values)
            doom.passes(f"before {statement.name}")
            found = await run(runner, statement, values)
            doom.passes(f"after {statement.name}")
            return found

        @asynccontextmanager
        async def doomed_transaction(db: Any) -> AsyncIterator[Any]:
            async with transaction(db) as opened:
                yield opened
                doom.passes("before COMMIT")
            doom.passes("after COMMIT")

        async def doomed_send(answer: Any, message: Any) -> None:
            part = message["type"].removeprefix("http.response.")
            request = context.current()
            # Whoever asks whether it is alive must not be what kills it.
            is_ours = request is not None and request.method != "GET"
            if is_ours:
                doom.passes(f"before the answer's {part}")
            await send(answer, message)
            if is_ours:
                doom.passes(f"after the answer's {part}")

        session.Session.run = doomed_run  # type: ignore[method-assign]
        database.Database.transaction = doomed_transaction  # type: ignore[method-assign]
        edge._Answer.send = doomed_send  # type: ignore[method-assign]


def main() -> None:
    assert application.ROUTERS, "imported, so that those who are forked need not"
    # A serving process looks for garbage when it starts; what was there before the fork is none of it.
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        order, *numbers = line.split()
        if order == "start":
            pid = os.fork()
            if not pid:
                _serve(*map(int, numbers))
        else:
            pid = int(numbers[0])
            # It is our child, also if it is dead already: nobody else can have got its number.
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        print(pid, flush=True)


def _serve(port: int, point: int) -> None:
    # Nobody survives the tests.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    sys.stdin.close()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    worker.FIRST_AFTER_S = (86_400.0, 86_400.0)
    if point >= 0:
        Doom(point).hang_over()
    code = 1
    try:
        serve.run(host="127.0.0.1", port=port, workers=1)
        code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
