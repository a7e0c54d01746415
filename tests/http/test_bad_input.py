"""Every field of every operation, filled with what breaks backends: a clear 4xx, and nothing is written."""

import json
from collections.abc import Iterator
from urllib.parse import quote

import psycopg
import pytest
from httpx2 import Response

from tests.cast import Clinic, fresh_key
from tests.http.operations import FORM, JSON, Field, Operation, operations, with_raw_value

NOT_STRINGS = ["10", "true", "1.5", "1e400", "NaN", "[]", '["a"]', "{}"]
BROKEN_STRINGS = ['"a\\u0000b"', '"\\ud800"', '"\\udc00x"', '"a\nb"', "'a'"]
BAD = {
    "string": NOT_STRINGS + BROKEN_STRINGS,
    "email": [*NOT_STRINGS, *BROKEN_STRINGS, '""', '"nobody"', '"@"', '"a@b@c.test"', '"a b@c.test"', '"a@-.test"'],
    "choice": [*NOT_STRINGS, *BROKEN_STRINGS, '""', '"none of these"', '"ADMIN"'],
    "boolean": ["0", "1", '"true"', '"false"', '""', "[]", "{}", "1.5"],
    "integer": [
        *[str(2**63), str(2**64), str(10**400), "1" + "0" * 5000, "-1", str(-(2**63)), "0", "true", "false", '"10"'],
        *["1.5", "1e400", "NaN", "Infinity", "[]", "[1]", "{}", '""', '"a"', "0x10", "01", "+1"],
    ],
    "uuid": [
        *NOT_STRINGS,
        *BROKEN_STRINGS,
        *['""', '"me"', '"01234567890123456789012345678901"', '"{01234567-89ab-4def-8123-456789abcdef}"'],
        *['"urn:uuid:01234567-89ab-4def-8123-456789abcdef"', '"01234567-89ab-4def-8123-456789abcdeg"'],
    ],
    "date-time": [
        *NOT_STRINGS,
        *BROKEN_STRINGS,
        *['""', '"now"', '"infinity"', '"1900000000"', "1900000000", '"2030-01-31"', '"09:00:00Z"'],
        '"2030-01-31T09:00:00"',  # naive
        '"0000-01-01T00:00:00Z"',
        '"9999-12-31T23:59:59-23:59"',
        '"0001-01-01T00:00:00+23:59"',
        '"2030-01-31T24:00:00Z"',
        '"2030-01-31T09:60:00Z"',
        '"2030-02-30T09:00:00Z"',
        '"2030-13-01T09:00:00Z"',
        '"2030-06-30T23:59:60Z"',  # PostgreSQL has no leap seconds
        '"2030-01-31T09:00:00+24:00"',
        '"2030-01-31T09:00:00+02:60"',
        '"2030-01-31T09:00:00+0200"',
        '"2030-01-31T09:00:00Z\\u0000"',
        '"2030-01-31T09:00:00Z\\n"',
        '" 2030-01-31T09:00:00Z"',
        '"+12030-01-31T09:00:00Z"',
        '"\uff12\uff10\uff13\uff10-01-31T09:00:00Z"',
    ],
}
BAD_BODIES = {
    "nothing": b"",
    "space": b"  ",
    "null": b"null",
    "a list": b"[]",
    "a number": b"1",
    "a string": b'"{}"',
    "half": b'{"a": ',
    "two values": b"{} {}",
    "a trailing comma": b'{"a": 1,}',
    "a comment": b"{} // nothing",
    "an unknown field": b'{"nobody knows": 1}',
    "a NUL in a name": b'{"a\\u0000": 1}',
    "a surrogate in a name": b'{"\\ud800": 1}',
    "a number as a name": b"{1: 1}",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "invalid UTF-8": b'{"a": "\xff\xfe"}',
    "an overlong NUL": b'{"a": "\xc0\x80"}',
    "a surrogate in UTF-8": b'{"a": "\xed\xa0\x80"}',
    "towers of lists": b"[" * 30_000,
    "closed towers of lists": b"[" * 30_000 + b"]" * 30_000,
    "towers of objects": b'{"a":' * 10_000,
}
BAD_NUMBERS = [
    "",
    " 5",
    "5 ",
    "5.0",
    "+5",
    "\uff11",
    "0x5",
    "1e1",
    "0",
    "-1",
    "101",
    "05",
    str(2**63),
    str(10**400),
    "true",
]
BAD_PATH_IDS = [
    *["x", "0", "-1", "1.5", "1e1", "+1", "%201", "1%20", "\uff11", "007", "0x1", "null", "true", "%00", "1%00", "%FF"],
    *[
        "%ED%A0%80",
        "a" * 5000,
        str(2**63),
        str(2**64),
        str(10**400),
        "%7B%7D",
        "..%2F..",
        "%2e",
        "*",
        "'",
        '"',
        "me%00",
    ],
    *[
        "01234567890123456789012345678901",
        "01234567-89ab-4def-8123-456789abcdeg",
        "01234567-89ab-4def-8123-456789abcde",
    ],
]

ALL = operations()
WITH_JSON = [one for one in ALL if one.media_type == JSON]
WITH_QUERY = [one for one in ALL if one.parameters("query")]
WITH_PATH = [one for one in ALL if one.parameters("path")]


@pytest.fixture
def nothing_is_written(clinic: Clinic, owner: psycopg.Connection) -> Iterator[None]:
    """Every table has as many rows after the test as before, but for the sessions and people it needs."""
    assert clinic.amara.id
    assert clinic.dora.id
    assert clinic.paul.id
    before = _rows(owner)
    yield
    assert _rows(owner) == before


def _rows(owner: psycopg.Connection) -> dict[str, int]:
    tables = owner.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    counts = {}
    for (table,) in tables:
        row = owner.execute(f'SELECT count(*) FROM "{table}"').fetchone()  # type: ignore[arg-type]  # names of our own
        assert row
        counts[table] = row[0]
    return counts


def send_body(clinic: Clinic, operation: Operation, body: bytes) -> Response:
    headers = {"content-type": operation.media_type}
    return operation.caller(clinic).sends(
        operation.method, operation.good_path(), key=fresh_key(), content=body, headers=headers
    )


def assert_is_validation_error(response: Response, sent: object) -> None:
    problem = response.json()
    assert response.status_code == 422, (sent, problem)
    assert problem["code"] == "validation_error", (sent, problem)
    assert problem["errors"], sent


def bad_values(field: Field) -> list[str]:
    found = list(BAD[field.kind])
    if not field.is_nullable:
        found.append("null")
    if "maxLength" in field.schema:
        found.append(json.dumps("x" * (field.schema["maxLength"] + 1)))
    if field.schema.get("minLength"):
        found.append('""')
    if "maximum" in field.schema:
        found.append(str(field.schema["maximum"] + 1))
    return found


@pytest.mark.parametrize("operation", WITH_JSON, ids=str)
def test_bad_value_in_any_field_of_a_body_is_422(
    clinic: Clinic, operation: Operation, nothing_is_written: None
) -> None:
    for field in operation.body_fields():
        for raw in bad_values(field):
            response = send_body(clinic, operation, with_raw_value(operation.good_body, field.place, raw))
            assert_is_validation_error(response, (field.place, raw[:60]))


@pytest.mark.parametrize("operation", WITH_JSON, ids=str)
def test_body_that_is_no_object_of_the_right_shape_is_422(
    clinic: Clinic, operation: Operation, nothing_is_written: None
) -> None:
    for name, body in BAD_BODIES.items():
        assert_is_validation_error(send_body(clinic, operation, body), name)


@pytest.mark.parametrize("operation", WITH_JSON, ids=str)
def test_list_where_the_body_belongs_and_text_where_a_list_belongs_is_422(
    clinic: Clinic, operation: Operation, nothing_is_written: None
) -> None:
    good = operation.good_body
    bodies = [[good], {"body": good}, json.dumps(good)]
    bodies += [{**good, name: wrong} for name in good for wrong in ([good[name]], {"a": good[name]}, [[]])]
    for body in bodies:
        assert_is_validation_error(send_body(clinic, operation, json.dumps(body).encode()), body)


@pytest.mark.parametrize("operation", WITH_JSON, ids=str)
def test_name_given_twice_in_a_body_is_422(clinic: Clinic, operation: Operation, nothing_is_written: None) -> None:
    good = json.dumps(operation.good_body)
    name = next(iter(operation.good_body))
    twice = good[:-1] + f", {json.dumps(name)}: {json.dumps(operation.good_body[name])}}}"
    assert_is_validation_error(send_body(clinic, operation, twice.encode()), twice)


def test_name_given_twice_deep_inside_is_422(clinic: Clinic, nothing_is_written: None) -> None:
    slot = '{"starts_at": "2030-01-31T09:00:00Z", "ends_at": "2030-01-31T09:30:00Z", "ends_at": "2030-01-31T10:30:00Z"}'
    response = clinic.dora.sends(
        "POST",
        "/availability/bulk",
        content=f'{{"slots": [{slot}]}}'.encode(),
        headers={"content-type": JSON},
    )
    assert_is_validation_error(response, slot)


def test_hundred_thousand_brackets_are_422_where_they_fit(clinic: Clinic, nothing_is_written: None) -> None:
    for body in (b"[" * 100_000, b'{"slots":' + b"[" * 100_000 + b"]" * 100_000 + b"}"):
        response = clinic.dora.sends("POST", "/availability/bulk", content=body, headers={"content-type": JSON})
        assert_is_validation_error(response, body[:10])


@pytest.mark.parametrize("operation", WITH_QUERY, ids=str)
def test_bad_value_in_any_parameter_of_a_query_is_422(
    clinic: Clinic, operation: Operation, nothing_is_written: None
) -> None:
    caller = operation.caller(clinic)
    for field in operation.parameters("query"):
        if field.place == ("cursor",):
            continue
        for value in bad_parameters(field):
            response = caller.gets(f"{operation.good_path()}?{field.place[0]}={quote(value)}")
            assert_is_validation_error(response, (field.place, value))


@pytest.mark.parametrize("operation", WITH_QUERY, ids=str)
def test_unreadable_bytes_in_a_query_never_break_it(clinic: Clinic, operation: Operation) -> None:
    caller, path = operation.caller(clinic), operation.open_path(clinic)
    for field in operation.parameters("query"):
        for raw in ("%FF", "%ED%A0%80", "%", "%zz", "%C0%80", "&&&", "=", "[]=1", "%E2%80%AE"):
            assert caller.gets(f"{path}?{field.place[0]}={raw}").status_code in (200, 400, 422), raw


def bad_parameters(field: Field) -> list[str]:
    if field.kind == "integer":
        return BAD_NUMBERS
    texts = [json.loads(raw) for raw in BAD[field.kind] if raw.startswith('"') and "\\u" not in raw and "\n" not in raw]
    if field.kind == "boolean":
        texts = ["", "True", "1", "0", "yes", "TRUE", "null"]
    if "maxLength" in field.schema:
        texts.append("x" * (field.schema["maxLength"] + 1))
    return [*texts, "a\0b"]


@pytest.mark.parametrize("operation", WITH_PATH, ids=str)
def test_id_that_cannot_be_one_is_404(clinic: Clinic, operation: Operation, nothing_is_written: None) -> None:
    caller = operation.caller(clinic)
    body = {"json": operation.good_body} if operation.media_type else {}
    for raw in BAD_PATH_IDS:
        path = operation.path.replace("{id}", raw)
        response = caller.sends(operation.method, path, **body)
        assert (response.status_code, response.json()["code"]) == (404, "not_found"), raw


BAD_FORMS = {
    "nothing": b"",
    "no password": b"username=a",
    "no name": b"password=a",
    "a NUL": b"username=a%00&password=b",
    "another grant": b"username=a&password=b&grant_type=client_credentials",
    "a long password": b"username=a&password=" + b"x" * 257,
    "a long name": b"username=" + b"x" * 255 + b"&password=a",
    "JSON": b'{"username": "a", "password": "b"}',
    "a name twice": b"username=a&username=b&password=c",
    "a clinic twice": b"username=a&password=c&clinic=main&clinic=main",
    "ten thousand fields": b"a=&" * 10_000,
}


@pytest.mark.parametrize("name", BAD_FORMS)
def test_bad_form_is_422(clinic: Clinic, name: str, nothing_is_written: None) -> None:
    response = clinic.nobody.sends("POST", "/auth/token", content=BAD_FORMS[name], headers={"content-type": FORM})
    assert_is_validation_error(response, name)


@pytest.mark.parametrize(
    "raw", [b"username=%ff&password=%ed%a0%80", b"username=\xff\xfe&password=\xc3", b"username=%&password=%zz"]
)
def test_unreadable_bytes_in_a_form_are_wrong_credentials(clinic: Clinic, raw: bytes) -> None:
    clinic.nobody.sends("POST", "/auth/token", content=raw, headers={"content-type": FORM}, expect=401)
