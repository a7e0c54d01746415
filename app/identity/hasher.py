"""A process that hashes passwords for one that serves, of low priority, or of the lowest.

A thread that gives way entirely may be put aside with the interpreter's lock in hand, and whoever is being served would
wait for somebody who may wait (docs/decisions/0025).

It reads lines of a bcrypt setting, a blank and a password, writes the hash of each, and ends with its input: also when
its parent is killed.
"""

import signal
import subprocess
import sys
from contextlib import suppress
from typing import BinaryIO

from app.identity import crypt
from app.observability.process import give_way

_ENTIRELY = "--entirely"
# With these a hash begins: its function, its cost and its salt.
_SETTING_BYTES = 29


class HasherFailed(Exception):
    """The process ended before it answered, or could not be started."""


class Hasher:
    """Hashes in a process of its own, which starts with the first password. For one thread.

    It gives way to everybody else, or `entirely`: then it has only what nobody wants.
    """

    def __init__(self, *, entirely: bool = False) -> None:
        self._options = [_ENTIRELY] if entirely else []
        self._process: subprocess.Popen[bytes] | None = None

    def hashed(self, password: bytes, setting: bytes) -> bytes:
        """The bcrypt hash; neither has a blank in it. Raises `HasherFailed`; the next one starts a new process."""
        try:
            answer = self._answer_to(b"%s %s\n" % (setting, password))
        except OSError as error:
            # It has died, or the machine has no room for another process.
            self.close()
            raise HasherFailed from error
        if not answer.startswith(setting[:_SETTING_BYTES]):
            self.close()
            raise HasherFailed
        return answer

    def _answer_to(self, line: bytes) -> bytes:
        process = self._process or subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-P", "-m", "app.identity.hasher", *self._options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._process = process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(line)
        process.stdin.flush()
        return process.stdout.readline().rstrip()

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
    give_way(entirely=_ENTIRELY in sys.argv)
    answer(sys.stdin.buffer, sys.stdout.buffer)
