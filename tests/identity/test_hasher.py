"""Passwords are hashed beside the process that serves: whatever becomes of that process, nobody gets another's hash."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator

import bcrypt
import pytest

from app.identity import passwords as module
from app.identity.hasher import Hasher, HasherFailed
from app.identity.passwords import NEWEST_LOGIN_SHARE, Passwords
from app.kit.errors import Unavailable

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the idle class is Linux's")


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


def test_it_makes_the_hashes_of_bcrypt(hasher: Hasher) -> None:
    for number in range(20):
        password, salt = f"password-{number}".encode(), bcrypt.gensalt(4)
        assert hasher.hashed(password, salt) == bcrypt.hashpw(password, salt)


def test_process_that_was_killed_is_told_and_replaced(hasher: Hasher) -> None:
    salt = bcrypt.gensalt(4)
    hasher.hashed(b"first", salt)
    assert hasher._process
    hasher._process.kill()
    with pytest.raises(HasherFailed):
        hasher.hashed(b"second", salt)
    assert hasher.hashed(b"third", salt) == bcrypt.hashpw(b"third", salt)


def test_answer_to_another_question_is_nobodys(hasher: Hasher) -> None:
    hasher.hashed(b"first", bcrypt.gensalt(4))
    assert hasher._process
    assert hasher._process.stdin
    # What somebody asked who has left: its answer is not for the next one.
    hasher._process.stdin.write(b"%s left\n" % bcrypt.gensalt(4))
    hasher._process.stdin.flush()
    with pytest.raises(HasherFailed):
        hasher.hashed(b"second", bcrypt.gensalt(4))


def test_it_ends_with_its_parent(hasher: Hasher) -> None:
    hasher.hashed(b"first", bcrypt.gensalt(4))
    assert hasher._process
    assert hasher._process.stdin
    hasher._process.stdin.close()
    assert hasher._process.wait(10) == 0


def test_machine_without_room_for_it_is_told(hasher: Hasher, monkeypatch: pytest.MonkeyPatch) -> None:
    salt = bcrypt.gensalt(4)
    with monkeypatch.context() as full:
        full.setattr(sys, "executable", "/nowhere/python")
        with pytest.raises(HasherFailed):
            hasher.hashed(b"first", salt)
    assert hasher.hashed(b"second", salt) == bcrypt.hashpw(b"second", salt)


def test_signal_to_the_whole_group_does_not_end_it(hasher: Hasher) -> None:
    hasher.hashed(b"first", bcrypt.gensalt(4))
    assert hasher._process
    for number in (signal.SIGINT, signal.SIGTERM):
        hasher._process.send_signal(number)
    salt = bcrypt.gensalt(4)
    assert hasher.hashed(b"second", salt) == bcrypt.hashpw(b"second", salt)


@LINUX
@pytest.mark.parametrize("entirely", [False, True])
def test_it_gives_way(*, entirely: bool) -> None:
    hasher = Hasher(entirely=entirely)
    hasher.hashed(b"first", bcrypt.gensalt(4))
    assert hasher._process
    try:
        assert (os.sched_getscheduler(hasher._process.pid) == os.SCHED_IDLE) is entirely
    finally:
        hasher.close()


def test_in_a_storm_logins_get_what_nobody_wants_and_after_it_their_share_again(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = int(1 / NEWEST_LOGIN_SHARE)

    async def storm() -> None:
        known = await passwords.hash("plum-tractor")
        assert passwords._hasher_in_storms._process is None
        with monkeypatch.context() as crowd:
            crowd.setattr(module, "WAIT_S_MAX", -1)
            for _ in range(several):
                with pytest.raises(Unavailable):
                    await passwords.verify("plum-tractor", known)
        assert await passwords.verify("plum-tractor", known)
        assert passwords._hasher_in_storms._process is not None
        for _ in range(several):
            assert await passwords.verify("plum-tractor", known)
        passwords._hasher_in_storms.close()
        assert await passwords.verify("plum-tractor", known)
        assert passwords._hasher_in_storms._process is None

    asyncio.run(storm())


def test_hash_that_failed_is_told_to_be_tried_again(passwords: Passwords) -> None:
    async def kill() -> None:
        known = await passwords.hash("plum-tractor")
        assert passwords._hasher._process
        passwords._hasher._process.kill()
        with pytest.raises(Unavailable):
            await passwords.verify("plum-tractor", known)
        assert await passwords.verify("plum-tractor", known)
        assert not await passwords.verify("another", known)

    asyncio.run(kill())
