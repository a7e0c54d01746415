"""Any number of processes, one server, until the last of them leaves."""

import time
from collections.abc import Callable

import pytest

from app.db.embedded import EmbeddedServerError
from tests.embedded.house import Ask, House, eventually


def test_attach_makes_a_database_that_answers(house: House, ask: Ask) -> None:
    attachment = house.attach()
    assert ask(attachment.url(), "SELECT current_user || '@' || current_database()") == "telemed_app@telemed"


def test_second_attach_shares_the_server(house: House) -> None:
    assert house.attach().pid == house.attach().pid


def test_another_process_shares_the_server(house: House) -> None:
    child = house.spawn()
    assert house.say_of(child)["pid"] == house.attach().pid


def test_last_close_returns_when_the_server_has_stopped(house: House) -> None:
    attachment = house.attach()
    attachment.close()
    assert attachment.log_path.read_text().endswith("database system is shut down\n")
    # The keeper's lock goes just before the keeper.
    eventually(house.is_deserted, within_s=0.2)


def test_earlier_close_leaves_the_server_to_the_others(house: House, ask: Ask) -> None:
    first, second = house.attach(), house.attach()
    first.close()
    assert ask(second.url(), "SELECT 1") == 1


def test_context_manager_closes(house: House) -> None:
    with house.attach():
        pass
    eventually(house.is_deserted, within_s=0.2)


def test_close_may_be_repeated(house: House) -> None:
    attachment = house.attach()
    attachment.close()
    attachment.close()


def test_closed_attachment_says_so(house: House) -> None:
    attachment = house.attach()
    attachment.close()
    with pytest.raises(EmbeddedServerError, match="is closed; attach again"):
        attachment.ensure()


def test_eight_processes_at_once_share_one_new_server(house: House) -> None:
    children = [house.spawn() for _ in range(8)]
    assert len({house.say_of(child)["pid"] for child in children}) == 1
    for child in children:
        house.leave(child)
    eventually(house.is_deserted, within_s=0.2)


def test_attaching_while_the_last_one_leaves_always_gives_a_working_server(house: House, ask: Ask) -> None:
    leaving = house.attach()
    for _ in range(10):
        child = house.spawn()
        leaving.close()
        leaving = house.attach()
        assert ask(leaving.url(), "SELECT 1") == 1
        assert house.say_of(child)["user"] == "telemed_app"
        house.leave(child)


def test_data_outlives_the_server(house: House, ask: Ask) -> None:
    with house.attach() as attachment:
        ask(attachment.url("telemed_owner"), "CREATE TABLE notes AS SELECT 'kept' AS note")
    assert ask(house.attach().url("telemed_owner"), "SELECT note FROM notes") == "kept"


def test_parameters_reach_the_server(house: House, ask: Ask) -> None:
    assert ask(house.attach(work_mem="5MB").url(), "SHOW work_mem") == "5MB"


def test_first_start_takes_under_two_seconds_and_the_next_under_half_a_second(house: House) -> None:
    first = _seconds_of(house.attach)
    house.attachments[0].close()
    again = []
    for _ in range(3):
        again.append(_seconds_of(house.attach))
        house.attachments[-1].close()
    assert first < 2.0
    assert min(again) < 0.5


def _seconds_of(action: Callable[[], object]) -> float:
    started = time.monotonic()
    action()
    return time.monotonic() - started
