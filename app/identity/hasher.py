"""A process that hashes passwords for one that serves, of low priority, or of the lowest.

A thread that gives way entirely may be put aside with the interpreter's lock in hand, and whoever is being served would
wait for somebody who may wait (docs/decisions/0025).

It reads lines of a bcrypt setting, a blank and a password, writes the hash of each, and ends with its input: also when
its parent is killed.
"""

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import BinaryIO

from app.identity import crypt
from app.observability.process import end_with_parent, give_way

_ENTIRELY = "--entirely"
# While it gives way entirely it works in bites. A core that always works, be it for nobody, is one where Linux does not
# look for room: everybody else would wait for the others (docs/decisions/0026).
BITE_MS, PAUSE_MS = 2, 4
# What a hash takes until one has been made; the newest counts for a fifth.
TAKES_S_GUESS, NEWEST_SHARE = 0.3, 0.2
# With these a hash begins: its function, its cost and its salt.
_SETTING_BYTES = 29


class HasherFailed(Exception):
    """The process ended before it answered, or could not be started."""


class Hasher:
    """Hashes in a process of its own, which starts with the first password. For one thread.

    It gives way to everybody else, or `entirely`: then it has only what nobody wants.
    """

    def __init__(self, *, entirely: bool = False) -> None:
        # Whoever ends with this process must know which it is.
        self._options = [_ENTIRELY, str(os.getpid())] if entirely else []
        self._is_in_bites = entirely and sys.platform == "linux"
        self._process: subprocess.Popen[bytes] | None = None
        # Seconds, by the last hashes. The guess is the same for bites: most storms are over before it is wrong.
        self.takes_s = TAKES_S_GUESS

    def hashed(self, password: bytes, setting: bytes) -> bytes:
        """The bcrypt hash; neither has a blank in it. Raises `HasherFailed`; the next one starts a new process."""
        started = time.perf_counter()
        try:
            answer = self._answer_to(b"%s %s\n" % (setting, password))
        except (OSError, ValueError) as error:
            # It has died, was closed while it worked, or the machine has no room for another process.
            self.close()
            raise HasherFailed from error
        if not answer.startswith(setting[:_SETTING_BYTES]):
            self.close()
            raise HasherFailed
        self.takes_s += (time.perf_counter() - started - self.takes_s) * NEWEST_SHARE
        return answer

    def _answer_to(self, line: bytes) -> bytes:
        process = self._process = self._living() or subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-P", "-m", "app.identity.hasher", *self._options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(line)
        process.stdin.flush()
        if self._is_in_bites:
            self._wait_in_bites(process)
        return process.stdout.readline().rstrip()

    def _living(self) -> "subprocess.Popen[bytes] | None":
        """The process; none if it has ended while nobody needed it."""
        if self._process is not None and self._process.poll() is not None:
            self.close()
        return self._process

    def _wait_in_bites(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        # Not `select`, which knows no file beyond the thousandth.
        answer = select.poll()
        answer.register(process.stdout, select.POLLIN)
        while not answer.poll(BITE_MS):
            process.send_signal(signal.SIGSTOP)
            time.sleep(PAUSE_MS / 1000)
            process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with suppress(OSError), process:
                # Its pipes are closed, and its end is waited for.
                pass


def answer(asked: BinaryIO, told: BinaryIO) -> None:
    """Hash until the input ends."""
    for line in asked:
        setting, password = line.split()
        told.write(crypt.hashed(password, setting) + b"\n")
        told.flush()


if __name__ == "__main__":
    # Signals to a whole group are for those who serve: they answer what they have begun, and this ends with them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    is_entirely = _ENTIRELY in sys.argv
    if is_entirely:
        # While it is stopped it would not hear that its input has ended.
        end_with_parent(int(sys.argv[-1]), signal.SIGKILL)
    give_way(entirely=is_entirely)
    answer(sys.stdin.buffer, sys.stdout.buffer)
