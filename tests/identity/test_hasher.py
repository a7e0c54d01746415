"""Passwords are hashed beside the process that serves: whatever becomes of that process, nobody gets another's hash."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import bcrypt
import pytest

from app.identity import passwords as module
from app.identity.hasher import TAKES_S_GUESS, Hasher, HasherFailed
from app.identity.passwords import STORM_PASSWORDS, STORM_S, Passwords
from app.kit.errors import Unavailable
from tests.patience import eventually

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the idle class is Linux's")
AT_WORK, STOPPED, GONE = "R", "T", {"Z", None}
HASHES_FOR_LONG = """
import bcrypt
from app.identity.hasher import Hasher
hasher = Hasher(entirely=True)
hasher.hashed(b"first", bcrypt.gensalt(4))
print(hasher._process.pid, flush=True)
hasher.hashed(b"second", bcrypt.gensalt(20))
"""


def state_of(pid: int) -> str | None:
    """The kernel's letter for what a process does; `None` of one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return None


@pytest.fixture
def hasher() -> Iterator[Hasher]:
    hasher = Hasher()
    yield hasher
    hasher.close()


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    passwords = Passwords(pepper=b"p" * 32, cost=4)
    yield passwords
    passwords.close()


def process_of(hasher: Hasher) -> "subprocess.Popen[bytes]":
    """The process that hashes, which the first password has started."""
    hasher.hashed(b"first", bcrypt.gensalt(4))
    assert hasher._process
    return hasher._process


def leave_a_question(hasher: Hasher) -> None:
    """As somebody does who asks and leaves."""
    assert hasher._process
    assert hasher._process.stdin
    hasher._process.stdin.write(b"%s left\n" % bcrypt.gensalt(4))
    hasher._process.stdin.flush()


def test_it_makes_the_hashes_of_bcrypt(hasher: Hasher) -> None:
    for number in range(20):
        password, salt = f"password-{number}".encode(), bcrypt.gensalt(4)
        assert hasher.hashed(password, salt) == bcrypt.hashpw(password, salt)


@LINUX
def test_process_that_is_killed_at_work_is_told_and_replaced(hasher: Hasher) -> None:
    process, salt = process_of(hasher), bcrypt.gensalt(4)
    with ThreadPoolExecutor(1) as threads:
        hashed = threads.submit(hasher.hashed, b"second", bcrypt.gensalt(20))
        eventually(lambda: state_of(process.pid) == AT_WORK)
        process.kill()
        with pytest.raises(HasherFailed):
            hashed.result()
    assert hasher.hashed(b"third", salt) == bcrypt.hashpw(b"third", salt)


def test_process_that_died_while_nobody_needed_it_costs_nobody_a_login(hasher: Hasher) -> None:
    process, salt = process_of(hasher), bcrypt.gensalt(4)
    process.kill()
    # Until it has ended; that it has is left for the hasher to find.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert hasher.hashed(b"second", salt) == bcrypt.hashpw(b"second", salt)


def test_answer_to_another_question_is_nobodys(hasher: Hasher) -> None:
    process_of(hasher)
    leave_a_question(hasher)
    with pytest.raises(HasherFailed):
        hasher.hashed(b"second", bcrypt.gensalt(4))


def test_it_ends_with_its_parent(hasher: Hasher) -> None:
    process = process_of(hasher)
    assert process.stdin
    process.stdin.close()
    assert process.wait(10) == 0


def test_machine_without_room_for_it_is_told(hasher: Hasher, monkeypatch: pytest.MonkeyPatch) -> None:
    salt = bcrypt.gensalt(4)
    with monkeypatch.context() as full:
        full.setattr(sys, "executable", "/nowhere/python")
        with pytest.raises(HasherFailed):
            hasher.hashed(b"first", salt)
    assert hasher.hashed(b"second", salt) == bcrypt.hashpw(b"second", salt)


def test_signal_to_the_whole_group_does_not_end_it(hasher: Hasher) -> None:
    process = process_of(hasher)
    for number in (signal.SIGINT, signal.SIGTERM):
        process.send_signal(number)
    salt = bcrypt.gensalt(4)
    assert hasher.hashed(b"second", salt) == bcrypt.hashpw(b"second", salt)


@LINUX
@pytest.mark.parametrize("entirely", [False, True])
def test_it_gives_way(*, entirely: bool) -> None:
    hasher = Hasher(entirely=entirely)
    try:
        assert (os.sched_getscheduler(process_of(hasher).pid) == os.SCHED_IDLE) is entirely
    finally:
        hasher.close()


@LINUX
def test_it_leaves_the_core_alone_again_and_again() -> None:
    hasher, salt = Hasher(entirely=True), bcrypt.gensalt(12)
    pid = process_of(hasher).pid
    with ThreadPoolExecutor(1) as threads:
        hashed = threads.submit(hasher.hashed, b"second", salt)
        eventually(lambda: state_of(pid) == STOPPED or hashed.done())
        assert not hashed.done()
        assert hashed.result() == bcrypt.hashpw(b"second", salt)
    hasher.close()


@LINUX
def test_it_works_among_thousands_of_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4_096, hard), hard))
    hasher, salt = Hasher(entirely=True), bcrypt.gensalt(10)
    with ExitStack() as files:
        files.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for _ in range(1_024):
            files.enter_context(Path(os.devnull).open())
        assert hasher.hashed(b"first", salt) == bcrypt.hashpw(b"first", salt)
        hasher.close()


@LINUX
def test_it_ends_with_a_parent_that_is_killed_while_it_is_stopped() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", HASHES_FOR_LONG],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )
    assert parent.stdout
    pid = int(parent.stdout.readline())
    eventually(lambda: state_of(pid) == STOPPED)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    eventually(lambda: state_of(pid) in GONE)


def test_in_a_storm_logins_get_what_nobody_wants_and_after_it_their_share_again(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = 1_000.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: at))

    async def is_last() -> bool:
        """Whether a login gets only what nobody wants."""
        passwords._hasher_in_storms.close()
        assert await passwords.verify("plum-tractor", known)
        return passwords._hasher_in_storms._process is not None

    async def refused() -> None:
        with monkeypatch.context() as crowd:
            crowd.setattr(module, "WAIT_S_MAX", -1)
            with pytest.raises(Unavailable):
                await passwords.verify("plum-tractor", known)

    async def storm() -> None:
        nonlocal at
        for _ in range(STORM_PASSWORDS - 2):
            await refused()
        assert not await is_last()
        assert await is_last(), "those who were turned away count"
        at += STORM_S
        assert not await is_last(), "the storm is over"

    another = Passwords(pepper=b"p" * 32, cost=4)
    known = asyncio.run(another.hash("plum-tractor"))
    another.close()
    asyncio.run(storm())


def test_it_knows_how_long_it_takes(hasher: Hasher) -> None:
    for _ in range(60):
        hasher.hashed(b"plum-tractor", bcrypt.gensalt(4))
    assert hasher.takes_s < TAKES_S_GUESS / 5


def test_hash_that_failed_is_told_to_be_tried_again(passwords: Passwords) -> None:
    async def ask() -> None:
        known = await passwords.hash("plum-tractor")
        # What comes back then is no answer to what is asked next.
        leave_a_question(passwords._hasher_in_calm)
        with pytest.raises(Unavailable):
            await passwords.verify("plum-tractor", known)
        assert await passwords.verify("plum-tractor", known)
        assert not await passwords.verify("another", known)

    asyncio.run(ask())
