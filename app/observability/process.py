"""A worker must not outlive the process that supervises it."""

import ctypes
import os
import signal
import sys

SUPERVISOR_PID = "TELEMED_SUPERVISOR_PID"
_PR_SET_PDEATHSIG = 1


def end_with_supervisor() -> None:
    """Ask the kernel for SIGTERM when our parent dies, if the parent is `telemed serve` with several workers.

    uvicorn's workers would otherwise go on listening after a `kill -9` of their parent.
    """
    supervisor = os.environ.get(SUPERVISOR_PID)
    if supervisor is None or os.getpid() == int(supervisor) or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(supervisor):
        # It died before we asked.
        os.kill(os.getpid(), signal.SIGTERM)
