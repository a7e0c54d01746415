"""What is turned away without being parsed: whole requests with nothing unusual about them, and no others."""

import pytest

from app.cli import glance

HEAD = b"POST /bookings/ HTTP/1.1\r\nHost: clinic\r\nContent-Length: 13\r\n\r\n"
BODY = b'{"slot_id":1}'


def test_whole_request_is_seen() -> None:
    assert glance.at(HEAD + BODY) == glance.Glance(b"/bookings/", BODY, None)


def test_request_id_and_query() -> None:
    seen = glance.at(b"GET /doctors/?q=a HTTP/1.1\r\nhost: clinic\r\nX-Request-Id:  of-the-caller\r\n\r\n")
    assert seen == glance.Glance(b"/doctors/", b"", b"of-the-caller")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(HEAD + BODY[:-1], id="half a body"),
        pytest.param(HEAD + BODY + b"GET", id="the beginning of another one"),
        pytest.param(HEAD + BODY + HEAD + BODY, id="two at once"),
        pytest.param(HEAD[:-2], id="half a head"),
        pytest.param(BODY, id="no head"),
        pytest.param(b"", id="nothing"),
        pytest.param(HEAD.replace(b"13", b"+13") + BODY, id="a length with a sign"),
        pytest.param(HEAD.replace(b"13", b"13\r\nContent-Length: 13") + BODY, id="two lengths"),
        pytest.param(HEAD.replace(b"13", b"13\r\nConnection: close") + BODY, id="a connection that ends"),
        pytest.param(HEAD.replace(b"13", b"13\r\ntransfer-encoding : chunked") + BODY, id="chunks"),
        pytest.param(HEAD.replace(b"13", b"13\nTransfer-Encoding: chunked") + BODY, id="chunks after a bare newline"),
        pytest.param(HEAD.replace(b"13", b"13\r\nExpect: 100-continue") + BODY, id="who waits for leave"),
        pytest.param(HEAD.replace(b"13", b"13\r\nUpgrade: websocket") + BODY, id="another protocol"),
        pytest.param(HEAD.replace(b"HTTP/1.1", b"HTTP/1.0") + BODY, id="an older version"),
        pytest.param(HEAD.replace(b"HTTP/1.1", b"HTTP/1.11") + BODY, id="no version"),
        pytest.param(HEAD.replace(b"/bookings/", b"/%68ealth/live") + BODY, id="a path in another spelling"),
        pytest.param(HEAD.replace(b"/bookings/", b"http://clinic/bookings/") + BODY, id="a whole address"),
        pytest.param(HEAD.replace(b"Content-Length: 13\r\n", b"") + BODY, id="a body without a length"),
    ],
)
def test_anything_else_is_for_the_parser(data: bytes) -> None:
    assert glance.at(data) is None
