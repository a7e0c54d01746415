"""What the keeper says: one line to whoever started it, the rest to the log."""

import contextlib
import os
import sys
from datetime import UTC, datetime

READY = "ready"
TAKEN = "taken"


def say(text: str) -> None:
    """Tell whoever started us, who may be gone. Only the first line is heard: later ones reach the log."""
    with contextlib.suppress(OSError):
        os.write(sys.stdout.fileno(), f"{text}\n".encode())
    # The starter reads to the end of the pipe: letting go of it is what ends its wait.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())


def note(text: str) -> None:
    """Add a line to the log; a full disk must not end the keeper, and with it the server."""
    with contextlib.suppress(OSError):
        os.write(sys.stderr.fileno(), f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f} UTC keeper: {text}\n".encode())
