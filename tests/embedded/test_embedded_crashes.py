"""What `kill -9` may do: nothing that was committed is lost, nothing runs on, and the server comes back."""

import contextlib
import os
import shutil
import signal
import subprocess
import time

import pytest

from app.db.embedded import Attachment, EmbeddedServerError, attach
from tests.embedded.house import Ask, House, eventually


def test_server_stops_when_its_only_user_is_killed(house: House) -> None:
    child = house.spawn()
    house.say_of(child)
    child.kill()
    eventually(house.is_deserted, within_s=5)


def test_killed_user_leaves_the_server_to_the_others(house: House, ask: Ask) -> None:
    child = house.spawn()
    house.say_of(child)
    attachment = house.attach()
    pid = attachment.pid
    child.kill()
    # Longer than the keeper waits for a new lease.
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        assert ask(attachment.url(), "SELECT 1") == 1
    assert attachment.pid == pid


def test_killed_keeper_takes_the_server_along_and_ensure_brings_both_back(house: House, ask: Ask) -> None:
    attachment = house.attach(synchronous_commit="on")
    ask(attachment.url("telemed_owner"), "CREATE TABLE notes AS SELECT 'kept' AS note")
    os.kill(house.keeper_pid, signal.SIGKILL)
    eventually(house.is_deserted)
    attachment.ensure()
    assert ask(attachment.url("telemed_owner"), "SELECT note FROM notes") == "kept"


def test_ensure_directly_after_the_keeper_is_killed(house: House, ask: Ask) -> None:
    attachment = house.attach()
    os.kill(house.keeper_pid, signal.SIGKILL)
    attachment.ensure()
    assert ask(attachment.url(), "SELECT 1") == 1


def test_killed_postmaster_comes_back_by_itself(house: House, ask: Ask) -> None:
    attachment = house.attach(synchronous_commit="on")
    ask(attachment.url("telemed_owner"), "CREATE TABLE notes AS SELECT 'kept' AS note")
    killed = attachment.pid
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: attachment_pid(attachment) not in {None, killed})
    attachment.ensure()
    assert ask(attachment.url("telemed_owner"), "SELECT note FROM notes") == "kept"


def test_postmaster_killed_again_and_again_comes_back(house: House, ask: Ask) -> None:
    attachment = house.attach()
    for _ in range(4):
        os.kill(attachment.pid, signal.SIGKILL)
        attachment.ensure()
        assert ask(attachment.url(), "SELECT 1") == 1


def test_nothing_committed_is_lost_when_everything_is_killed(house: House, ask: Ask) -> None:
    attachment = attach(house.data_dir)
    house.attachments.append(attachment)
    ask(attachment.url("telemed_owner"), "CREATE TABLE notes AS SELECT n FROM generate_series(1, 1000) n")
    kill_everything(house)
    attachment.ensure()
    assert ask(attachment.url("telemed_owner"), "SELECT count(*) FROM notes") == 1000


def test_pid_that_now_belongs_to_another_program_does_not_keep_the_server_down(house: House, ask: Ask) -> None:
    attachment = house.attach()
    kill_everything(house)
    stranger = subprocess.Popen(["sleep", "60"])
    for lock_file in (next(house.data_dir.glob("pg*/postmaster.pid")), house.data_dir / ".s.PGSQL.5432.lock"):
        _, rest = lock_file.read_text().split("\n", 1)
        lock_file.write_text(f"{stranger.pid}\n{rest}")
    attachment.ensure()
    assert ask(attachment.url(), "SELECT 1") == 1
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_first_start_that_was_killed_is_begun_anew(house: House, ask: Ask) -> None:
    child = house.spawn()
    eventually(lambda: any(house.data_dir.glob("new-*/PG_VERSION")))
    child.kill()
    os.kill(house.keeper_pid, signal.SIGKILL)
    assert ask(house.attach().url(), "SELECT 1") == 1
    assert not list(house.data_dir.glob("new-*"))


def test_keeper_asked_to_stop_stops_cleanly(house: House, ask: Ask) -> None:
    attachment = house.attach()
    os.kill(house.keeper_pid, signal.SIGTERM)
    eventually(house.is_deserted)
    assert "database system is shut down" in attachment.log_path.read_text()
    attachment.ensure()
    assert ask(attachment.url(), "SELECT 1") == 1


def test_server_of_a_deleted_folder_ends(house: House) -> None:
    attachment = house.attach()
    shutil.rmtree(house.data_dir)
    with pytest.raises(EmbeddedServerError, match="was deleted or replaced while in use"):
        attachment.ensure()
    # Its processes now work in "… (deleted)", which is still below the folder's name.
    eventually(house.is_deserted)


def kill_everything(house: House) -> None:
    for pid in house.processes():
        # PostgreSQL's workers end by themselves when they see the postmaster gone.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    eventually(house.is_deserted)


def attachment_pid(attachment: Attachment) -> int | None:
    try:
        return attachment.pid
    except EmbeddedServerError:
        return None
