"""What a serving process asks of the kernel and of Python itself."""

import ctypes
import gc
import os
import signal
import sys
import threading

SUPERVISOR_PID = "TELEMED_SUPERVISOR_PID"
_PR_SET_PDEATHSIG = 1
# A page of slots makes two hundred objects, all freed by their counts: looking for cycles after every 700 finds none
# and takes a tenth of the processor.
GC_THRESHOLDS = (50_000, 20, 20)
# Background work gives way to requests, and a sixth of its core is left to it while they want everything. With 19 it
# was a seventieth: a machine that was full for minutes refused one login in six.
BACKGROUND_NICENESS = 7


def end_with_supervisor() -> None:
    """Ask the kernel for SIGTERM when our parent dies, if the parent is `telemed serve` with several workers.

    uvicorn's workers would otherwise go on listening after a `kill -9` of their parent.
    """
    supervisor = os.environ.get(SUPERVISOR_PID)
    if supervisor is not None and os.getpid() != int(supervisor):
        end_with_parent(int(supervisor), signal.SIGTERM)


def end_with_parent(parent: int, ending: signal.Signals) -> None:
    """Ask the kernel for the signal `ending` when the thread of process `parent` that started this process ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ending)
        if os.getppid() != parent:
            # It died before we asked.
            os.kill(os.getpid(), ending)


def collect_garbage_seldom() -> None:
    """Look for reference cycles every 50,000 objects, and never among what was made while starting."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def give_way(*, entirely: bool = False) -> None:
    """Let the calling thread have the last half of the cores, each only when nobody else wants it much, or at all.

    The first half is free for whoever waits for an answer, however many processes have something heavy to do; and the
    kernel need not move the thread out of somebody's way, which it does too late.
    """
    if sys.platform == "linux":
        # On Linux a thread has a niceness and a set of cores of its own.
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, BACKGROUND_NICENESS)
        if entirely:
            os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
        cores = sorted(os.sched_getaffinity(thread))
        os.sched_setaffinity(thread, cores[len(cores) // 2 :])
