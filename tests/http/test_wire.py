"""What only a real server shows: bytes on a socket, lies about lengths, clients that leave."""

import gc
import socket
import struct
import sys
from collections.abc import Iterator

import pytest
import structlog

from tests.cast import Clinic
from tests.http.served import Address, exchange, request, status_of

LOGIN = "POST /auth/login HTTP/1.1"
JSON_TYPE = "Content-Type: application/json"
ASKED = 50


@pytest.mark.parametrize("value", [b"Bearer \xff\xfe", b"Bearer \xd0\xba\xd0\xbb", b"Bearer " + b"a" * 50_000, b"\x80"])
def test_authorization_of_any_bytes_is_401(address: Address, value: bytes) -> None:
    answer = exchange(address, request("GET /users/me HTTP/1.1", b"Authorization: " + value))
    assert status_of(answer) == 401
    assert b'"code":"unauthenticated"' in answer


def test_two_authorizations_are_401(address: Address, clinic: Clinic) -> None:
    line = f"Authorization: Bearer {clinic.paul.token}"
    assert status_of(exchange(address, request("GET /users/me HTTP/1.1", line))) == 200
    assert status_of(exchange(address, request("GET /users/me HTTP/1.1", line, line))) == 401


@pytest.mark.parametrize("value", [b"abcdefgh\xff", b"\xd0\xba\xd0\xbb\xd1\x8e\xd1\x87", b"a" * 50_000])
def test_request_id_of_any_bytes_is_replaced(address: Address, value: bytes) -> None:
    answer = exchange(address, request("GET /health/live HTTP/1.1", b"X-Request-ID: " + value))
    assert status_of(answer) == 200
    assert value not in answer


def test_key_of_any_bytes_is_400(address: Address, clinic: Clinic) -> None:
    headers = [f"Authorization: Bearer {clinic.paul.token}", JSON_TYPE, "Content-Length: 14"]
    for values in ([b"\xff" * 10], ["ключ-ключ".encode()], [b"good-key-1", b"good-key-1"], [b"short"], [b"a" * 256]):
        keys = [b"Idempotency-Key: " + value for value in values]
        answer = exchange(address, request("POST /bookings/ HTTP/1.1", *headers, *keys, body=b'{"slot_id": 10}'[:14]))
        assert status_of(answer) == 400, values


@pytest.mark.parametrize("expect", [[], ["Expect: 100-continue"]])
def test_ten_megabytes_get_a_clear_413(address: Address, expect: list[str]) -> None:
    size = 10_000_000
    answer = exchange(address, request(LOGIN, JSON_TYPE, f"Content-Length: {size}", *expect, body=b"x" * size))
    assert status_of(answer) == 413
    assert b'"code":"body_too_large"' in answer
    assert b"100 Continue" not in answer


def test_ten_megabytes_in_chunks_get_a_clear_413(address: Address) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    answer = exchange(address, request(LOGIN, JSON_TYPE, "Transfer-Encoding: chunked", body=chunk * 150 + b"0\r\n\r\n"))
    assert status_of(answer) == 413
    assert b'"code":"body_too_large"' in answer


def test_next_request_on_the_connection_is_not_taken_for_a_body(address: Address) -> None:
    first = request("GET /users/me HTTP/1.1", "Content-Length: 5", body=b"abcde")
    answer = exchange(address, first + request("GET /health/live HTTP/1.1"))
    assert answer.count(b"HTTP/1.1 401") == 1
    assert answer.count(b"HTTP/1.1 200") == 1


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: -1"],
        ["Content-Length: abc"],
        ["Content-Length: " + "9" * 40],
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked, identity"],
    ],
)
def test_lies_about_the_length_end_the_connection(address: Address, lines: list[str]) -> None:
    smuggled = request("GET /health/live HTTP/1.1")
    answer = exchange(address, request(LOGIN, JSON_TYPE, *lines, body=b"0\r\n\r\n" + smuggled))
    assert status_of(answer) in (400, 413)
    assert b"HTTP/1.1 200" not in answer
    assert b"HTTP/1.1 5" not in answer


def test_client_that_leaves_inside_its_body_changes_nothing(address: Address, clinic: Clinic) -> None:
    logins = len(clinic.amara.audit_rows(actor_id=clinic.paul.id))
    body = f"username={clinic.paul.email}&password={clinic.paul.password}&clinic={clinic.slug}".encode()
    form = "Content-Type: application/x-www-form-urlencoded"
    exchange(
        address,
        request("POST /auth/token HTTP/1.1", form, f"Content-Length: {len(body) + 5}", body=body),
        half_close=True,
    )
    assert status_of(exchange(address, request("GET /health/live HTTP/1.1"))) == 200
    assert len(clinic.amara.audit_rows(actor_id=clinic.paul.id)) == logins


def test_slow_body_is_waited_for(address: Address, clinic: Clinic) -> None:
    body = b'{"email": "nobody@clinic.test", "password": "wrong"}'
    head = request(LOGIN, JSON_TYPE, f"Content-Length: {len(body)}")
    assert status_of(exchange(address, head + body[:10], body[10:30], body[30:], pause_s=0.1)) == 401


@pytest.mark.parametrize(
    "raw", [b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00"]
)
def test_what_is_not_http_never_breaks_the_server(address: Address, raw: bytes) -> None:
    exchange(address, raw, half_close=True)
    assert status_of(exchange(address, request("GET /health/live HTTP/1.1"))) == 200


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel for its count of packets")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_answer_comes_in_one_packet(address: Address, method: str) -> None:
    with socket.create_connection(address, timeout=3) as connection:
        for number in (1, 2):
            connection.sendall(request(f"{method} /health/live HTTP/1.1"))
            assert status_of(connection.recv(10_000)) == (200 if method == "GET" else 405)
            # `tcpi_data_segs_in`, the packets with data in them that came.
            info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
            assert struct.unpack_from("I", info, 152)[0] == number


def test_whoever_waits_for_leave_gets_it_before_the_answer(address: Address) -> None:
    body = b'{"email": "nobody@clinic.test", "password": "wrong"}'
    head = request(LOGIN, JSON_TYPE, f"Content-Length: {len(body)}", "Expect: 100-continue")
    answer = exchange(address, head, body, pause_s=0.1)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 401")


def test_client_that_leaves_within_its_answers_is_no_failure(address: Address, clinic: Clinic) -> None:
    me = request("GET /users/me HTTP/1.1", f"Authorization: Bearer {clinic.paul.token}")
    with structlog.testing.capture_logs() as lines:
        for _ in range(20):
            with socket.create_connection(address, timeout=3) as connection:
                connection.sendall(me * 3)
                connection.recv(100)
                # Closed with a reset, as by a phone that loses its network.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for _ in range(ASKED):
            assert status_of(exchange(address, request("GET /health/live HTTP/1.1", "Connection: close"))) == 200
    assert [line for line in lines if line["log_level"] == "error"] == []


@pytest.fixture
def collector_asleep() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("collector_asleep")
def test_answered_request_leaves_no_cycle_behind(address: Address, clinic: Clinic) -> None:
    """What refers to itself stays until Python looks for it: in a full house that was 50 MB."""
    me = request("GET /users/me HTTP/1.1", f"Authorization: Bearer {clinic.paul.token}")
    with socket.create_connection(address, timeout=3) as connection:
        for _ in ("what is made once", "and what is made each time"):
            gc.collect()
            for _ in range(ASKED):
                connection.sendall(me)
                assert status_of(connection.recv(10_000)) == 200
    assert gc.collect() < ASKED
