"""The load generator against a server of a few lines: what it counts is what happened."""

import threading
from collections.abc import Iterable

import pytest

from app.bench.generator import CROWDED, Generator
from app.bench.requests import Request
from tests.bench.tiny import TinyServer, answer


def asking(path: str = "/", kind: str = "ask") -> Request:
    return Request(kind, f"GET {path} HTTP/1.1\r\nHost: tiny\r\n\r\n".encode())


def test_each_status_is_counted() -> None:
    def tells(path: str, _: int) -> bytes:
        return answer(int(path.strip("/")))

    with TinyServer(tells) as server, Generator(server.port, connections=2) as generator:
        run = generator.closed_loop([asking(f"/{status}") for status in (200, 201, 409, 201)])
    assert run.statuses() == {200: 1, 201: 2, 409: 1}


def test_connections_are_kept_from_request_to_request_and_from_run_to_run() -> None:
    with TinyServer(lambda *_: answer()) as server, Generator(server.port, connections=3) as generator:
        for _ in range(2):
            run = generator.closed_loop([asking() for _ in range(30)])
            assert (len(run.samples), run.reconnects) == (30, 0)
        assert server.connections == 3


def test_broken_connection_is_one_unanswered_request_and_is_replaced() -> None:
    def hangs_up_once(path: str, _: int) -> bytes:
        return b"" if path == "/broken" else answer()

    with TinyServer(hangs_up_once) as server, Generator(server.port, connections=1) as generator:
        run = generator.closed_loop([asking(), asking("/broken"), asking(), asking()])
    assert run.statuses() == {200: 3, 0: 1}
    assert run.reconnects == 1


def test_connection_that_the_server_announces_to_close_is_replaced_without_loss() -> None:
    def says_goodbye(_: str, count: int) -> bytes:
        return answer(200, b"{}", "connection: close") if count else answer()

    with TinyServer(says_goodbye) as server, Generator(server.port, connections=1) as generator:
        run = generator.closed_loop([asking() for _ in range(6)])
        assert (run.statuses(), run.reconnects) == ({200: 6}, 0)
        # The last one may still wait to be accepted.
        assert server.connections >= 3


def test_answer_in_pieces_is_one_answer() -> None:
    body = b"x" * 300_000
    with TinyServer(lambda *_: answer(200, body)) as server, Generator(server.port, connections=1) as generator:
        run = generator.closed_loop([asking(), asking()])
    assert run.statuses() == {200: 2}


def test_open_loop_counts_from_when_a_request_was_due() -> None:
    """One connection, whose first answer comes late: the second request was due long before it could be sent."""
    release = threading.Event()

    def waits_once(path: str, _: int) -> bytes:
        if path == "/slow":
            release.wait(10)
        return answer()

    with TinyServer(waits_once) as server, Generator(server.port, connections=1) as generator:
        threading.Timer(0.3, release.set).start()
        run = generator.open_loop([(0.0, asking("/slow")), (0.1, asking(kind="late"))], seconds=0.2)
    late = next(sample for sample in run.samples if sample.kind == "late")
    assert late.due == 0.1
    assert late.latency_ms >= 190
    assert late.answer_ms < late.latency_ms - 100


def test_what_could_not_be_sent_is_left_when_that_is_wanted() -> None:
    release = threading.Event()

    def waits(_path: str, _: int) -> bytes:
        release.wait(10)
        return answer()

    with TinyServer(waits) as server, Generator(server.port, connections=1) as generator:
        threading.Timer(0.4, release.set).start()
        run = generator.open_loop([(0.0, asking()), (0.05, asking())], seconds=0.2, leaves_unsent=True)
    assert (len(run.samples), run.unsent) == (1, 1)
    assert run.unsent_waited_s == pytest.approx([0.15])
    assert run.drained_s > run.seconds == 0.2


def test_connection_rests_as_long_as_it_is_told() -> None:
    def busy_at_first(_: str, count: int) -> bytes:
        return answer() if count else answer(429, b"{}", "Retry-After: 0.2")

    with TinyServer(busy_at_first) as server, Generator(server.port, connections=1) as generator:
        run = generator.closed_loop([asking(), asking()])
    first, second = run.samples
    assert (first.status, second.status) == (429, 200)
    assert second.sent - first.ended >= 0.19


def test_answers_may_ask_for_more() -> None:
    def goes_on(status: int, body: bytes, _retry_after: float) -> Iterable[tuple[float, Request]]:
        assert (status, body) == (200, b"{}")
        return [(0.05, asking("/next", kind="next"))]

    first = asking()
    first.then = goes_on
    with TinyServer(lambda *_: answer()) as server, Generator(server.port, connections=1) as generator:
        run = generator.closed_loop([first])
        assert server.paths == ["/", "/next"]
    assert [sample.kind for sample in run.samples] == ["ask", "next"]
    assert run.samples[1].due - run.samples[0].ended >= 0.05


def test_hundreds_on_their_way_are_looked_at_in_turns_and_none_is_missed() -> None:
    count = 2 * CROWDED
    with TinyServer(lambda *_: answer()) as server, Generator(server.port, connections=count) as generator:
        run = generator.open_loop([(0.0, asking()) for _ in range(2 * count)], seconds=0.1)
    assert run.statuses() == {200: 2 * count}
