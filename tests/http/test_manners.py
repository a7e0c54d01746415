"""The *Manners* of the contract: sizes, media types, paths, methods, request ids, headers, problems, lists."""

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from tests.cast import Clinic, fresh_key
from tests.contract import operation_for
from tests.http.operations import FORM, JSON, Operation, document, operations

KIB = 1024
ALL = operations()
WITH_BODY = [one for one in ALL if one.media_type]
WITH_JSON = [one for one in ALL if one.media_type == JSON]
WITH_TOKEN = [one for one in ALL if one.needs_token]
LISTS = [one for one in ALL if any(field.place == ("cursor",) for field in one.parameters("query"))]
MEMBERS = {"type", "title", "status", "detail", "code", "request_id"}


def limit_of(operation: Operation) -> int:
    return 256 * KIB if operation.path == "/availability/bulk" else 64 * KIB


def send(clinic: Clinic, operation: Operation, **request: Any) -> Response:
    return operation.caller(clinic).sends(operation.method, operation.good_path(), key=fresh_key(), **request)


def in_chunks(size: int) -> Iterator[bytes]:
    yield from (b" " * KIB for _ in range(size // KIB))
    yield b" " * (size % KIB)


def code_of(response: Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


# Size


@pytest.mark.parametrize("operation", ALL, ids=str)
def test_body_over_the_limit_is_413_whatever_else_is_wrong(clinic: Clinic, operation: Operation) -> None:
    too_much = limit_of(operation) + 1
    for content in (b"x" * too_much, in_chunks(too_much)):
        answer = clinic.nobody.sends(operation.method, operation.good_path(), content=content)
        assert code_of(answer) == (413, "body_too_large")


@pytest.mark.parametrize("operation", WITH_JSON, ids=str)
def test_body_of_just_the_limit_is_read(clinic: Clinic, operation: Operation) -> None:
    filled = json.dumps({"nobody knows": "x"}).encode().ljust(limit_of(operation))
    for content in (filled, iter([filled[:100], filled[100:]])):
        answer = send(clinic, operation, content=content, headers={"content-type": JSON})
        assert code_of(answer) == (422, "validation_error")


def test_ten_megabytes_are_413(clinic: Clinic) -> None:
    assert code_of(clinic.nobody.sends("POST", "/auth/login", content=b"x" * 10_000_000)) == (413, "body_too_large")
    assert code_of(clinic.nobody.sends("POST", "/nowhere", content=b"x" * 10_000_000)) == (413, "body_too_large")


@pytest.mark.parametrize("length", ["-1", "+5", "1e3", "0x10", "9" * 5000, "ten", "٣"])
def test_length_that_is_no_number_is_413(clinic: Clinic, length: str) -> None:
    answer = clinic.nobody.sends("POST", "/auth/login", content=b"{}", headers={"content-length": length.encode()})
    assert code_of(answer) == (413, "body_too_large")


# Media type


@pytest.mark.parametrize("operation", WITH_BODY, ids=str)
@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "text/plain",
        "text/json",
        "application/jsonp",
        "application/json/x",
        "application/problem+json",
        "*/*",
        "application/xml",
        "multipart/form-data; boundary=x",
        ";",
        "application/json, text/plain",
    ],
)
def test_body_of_another_media_type_is_415(clinic: Clinic, operation: Operation, given: str | None) -> None:
    headers = {} if given is None else {"content-type": given}
    answer = send(clinic, operation, content=json.dumps(operation.good_body).encode(), headers=headers)
    assert code_of(answer) == (415, "unsupported_media_type")


@pytest.mark.parametrize("operation", WITH_BODY, ids=str)
def test_form_is_no_json_and_json_is_no_form(clinic: Clinic, operation: Operation) -> None:
    other = FORM if operation.media_type == JSON else JSON
    for content in (b"username=a&password=b", b"{}", b""):
        answer = send(clinic, operation, content=content, headers={"content-type": other})
        assert code_of(answer) == (415, "unsupported_media_type")


@pytest.mark.parametrize("operation", WITH_BODY, ids=str)
def test_no_body_and_no_media_type_is_422_at_once(clinic: Clinic, operation: Operation) -> None:
    assert code_of(send(clinic, operation)) == (422, "validation_error")


@pytest.mark.parametrize("given", ["application/json; charset=utf-16", "APPLICATION/JSON", "application/json;x=y;;"])
def test_parameters_of_the_media_type_do_not_matter(clinic: Clinic, given: str) -> None:
    body = {"email": clinic.paul.email, "password": clinic.paul.password, "clinic": clinic.slug}
    clinic.nobody.sends(
        "POST", "/auth/login", content=json.dumps(body).encode(), headers={"content-type": given}, expect=200
    )


# Paths and methods


def other_form(path: str) -> str:
    return path.removesuffix("/") if path.endswith("/") else path + "/"


@pytest.mark.parametrize("operation", ALL, ids=str)
def test_path_with_or_without_the_slash_is_another_path(clinic: Clinic, operation: Operation) -> None:
    good = operation.good_path()
    for path in (other_form(good), "/" + good, good.upper(), good + "%0A"):
        answer = operation.caller(clinic).sends(operation.method, path, follow_redirects=False)
        # `/users/me` is the one path that another path's id could be: of `PATCH /users/{id}`, for admins.
        assert answer.status_code in ((403, 404, 405) if operation.path == "/users/me" else (404, 405)), path
        assert "location" not in answer.headers


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/nowhere",
        "/docs/",
        "/doctors//",
        "/docs/static",
        "/docs/static/",
        "/docs/static/nothing.js",
        "/redoc",
        "/docs/static/%00",
        "/docs/static/" + "a" * 5000,
        "/docs/static/..%2f..%2fdocuments.py",
        "/docs/static/%FF",
        "/docs/static/swagger",
        "/docs/static//etc/passwd",
        "/docs/oauth2-redirect",
        "/favicon.ico",
        "/openapi.json/",
        "/%00",
        "/%FF%FE",
        "/" + "a" * 10000,
        "/auth/login;x=1",
        "/auth%2flogin/",
        "/.env",
        "/./auth/login/x",
        "/health/live%0A",
    ],
)
def test_unknown_path_is_404(clinic: Clinic, path: str) -> None:
    answer = clinic.nobody.gets(path, follow_redirects=False)
    assert code_of(answer) == (404, "not_found"), path


def test_line_break_is_no_end_of_a_path(clinic: Clinic) -> None:
    assert code_of(clinic.amara.gets("/consultations/%0A")) == (404, "not_found")


@pytest.mark.parametrize("path", list(document()["paths"]))
def test_other_methods_are_405_with_all_that_are_allowed(clinic: Clinic, path: str) -> None:
    good_path = next(one for one in ALL if one.path == path).good_path()
    methods = {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"}
    # `DELETE /availability/bulk` is `DELETE /availability/{id}` with a bad id.
    known = {method for method in methods if operation_for(clinic.client, method, good_path)}
    for method in methods - known:
        answer = clinic.nobody.sends(method, good_path)
        assert_is_problem(answer, "method_not_allowed")
        assert set(re.split(", *", answer.headers["allow"])) == known, (method, path)
    assert clinic.client.head(good_path).status_code == 405


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/docs/static/docs.js"])
def test_documents_answer_get_and_head_only(clinic: Clinic, path: str) -> None:
    for method in ("POST", "DELETE", "OPTIONS", "BREW"):
        answer = clinic.nobody.sends(method, path)
        assert code_of(answer) == (405, "method_not_allowed")
        assert set(re.split(", *", answer.headers["allow"])) == {"GET", "HEAD"}
    assert clinic.client.get(path).status_code == clinic.client.head(path).status_code == 200


@pytest.mark.parametrize("value", ["bytes=x", "bytes=9-1", "bytes=99999999-", "lines=1-2", "bytes=0-1,5-6", "\xff"])
@pytest.mark.parametrize("path", ["/docs", "/docs/static/docs.js"])
def test_ranges_are_ignored(clinic: Clinic, path: str, value: str) -> None:
    whole = clinic.client.get(path)
    part = clinic.client.get(path, headers={"range": value.encode("latin-1")})
    assert (part.status_code, part.content) == (200, whole.content)


# Request ids


@pytest.mark.parametrize("given", ["a" * 8, "a" * 128, "A-Za-z0-9._", "........"])
def test_good_request_id_is_taken(clinic: Clinic, given: str) -> None:
    for path in ("/health/live", "/nowhere", "/users/me"):
        answer = clinic.nobody.gets(path, headers={"x-request-id": given})
        assert answer.headers["x-request-id"] == given
        if answer.status_code != 200:
            assert answer.json()["request_id"] == given


@pytest.mark.parametrize(
    "given",
    [
        "",
        "a" * 7,
        "a" * 129,
        "a b c d e f",
        "abcdefg\u00e9",
        "abcdefgh\tx",
        "{abcdefgh}",
        "abc/defgh",
        "\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18",
        "a" * 99_999,
    ],
)
def test_other_request_ids_are_replaced(clinic: Clinic, given: str) -> None:
    answer = clinic.nobody.gets("/nowhere", headers={"x-request-id": given.encode()})
    made = answer.headers["x-request-id"]
    assert made != given
    assert uuid.UUID(made).version == 7
    assert answer.json()["request_id"] == made


def test_request_id_is_in_the_audit_log(clinic: Clinic) -> None:
    clinic.dora.gets("/users/", headers={"x-request-id": "my.request-42"}, expect=403)
    assert clinic.amara.audit_rows(action="request.denied")[0]["request_id"] == "my.request-42"


# Headers


def answers_of_every_kind(clinic: Clinic) -> Iterator[Response]:
    nobody, paul = clinic.nobody, clinic.paul
    yield nobody.gets("/health/live", expect=200)
    yield nobody.gets("/docs", expect=200)
    yield nobody.gets("/openapi.json", expect=200)
    yield paul.gets("/users/me", expect=200)
    yield clinic.dora.posts("/auth/logout", {"refresh_token": "nonsense"}, expect=204)
    yield paul.gets("/doctors/?cursor=x", expect=400)
    yield nobody.gets("/users/me", expect=401)
    yield paul.gets("/users/", expect=403)
    yield nobody.gets("/nowhere", expect=404)
    yield nobody.deletes("/users/me", expect=405)
    yield nobody.sends("POST", "/auth/login", content=b"x" * 100_000, expect=413)
    yield nobody.sends("POST", "/auth/login", content=b"x", expect=415)
    yield nobody.posts("/auth/login", {}, expect=422)


def test_every_answer_has_the_headers_that_keep_browsers_safe(clinic: Clinic) -> None:
    for answer in answers_of_every_kind(clinic):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "unsafe-eval" not in answer.headers["content-security-policy"]
        assert "server" not in answer.headers
        assert answer.headers["cache-control"] == "no-store"


def test_assets_may_be_kept_and_nothing_else(clinic: Clinic) -> None:
    assert "max-age" in clinic.client.get("/docs/static/docs.js").headers["cache-control"]
    assert clinic.nobody.gets("/docs/static/nothing.js").headers["cache-control"] == "no-store"


# Problems


def assert_is_problem(answer: Response, code: str) -> None:
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(problem) == MEMBERS | ({"errors"} if code == "validation_error" else set())
    assert problem["type"].endswith(code)
    assert (problem["code"], problem["status"]) == (code, answer.status_code)
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["title"]
    assert problem["detail"]
    for wrong in problem.get("errors", []):
        assert set(wrong) == {"field", "message"}
        assert wrong["field"].split(".")[0] in ("body", "query")


def test_every_problem_has_the_documented_members_and_no_other(clinic: Clinic) -> None:
    codes = []
    for answer in answers_of_every_kind(clinic):
        if answer.status_code >= 400:
            codes.append(answer.json()["code"])
            assert_is_problem(answer, codes[-1])
    assert codes == [
        *["invalid_cursor", "unauthenticated", "forbidden", "not_found", "method_not_allowed", "body_too_large"],
        *["unsupported_media_type", "validation_error"],
    ]


def test_401_names_the_scheme(clinic: Clinic) -> None:
    assert clinic.nobody.gets("/users/me", expect=401).headers["www-authenticate"] == "Bearer"


def test_problem_of_a_field_names_it_and_never_repeats_its_value(clinic: Clinic) -> None:
    body = {"email": "canary-mail", "password": "canary", "full_name": ["canary"], "clinic": 5}
    problem = clinic.nobody.posts("/auth/register", body, expect=422)
    fields = {wrong["field"] for wrong in problem.json()["errors"]}
    assert fields == {"body.email", "body.password", "body.full_name", "body.clinic"}
    assert "canary" not in problem.text


def test_a_thousand_wrong_fields_are_told_by_the_first_twenty(clinic: Clinic) -> None:
    body = {f"unknown{number}": number for number in range(2000)}
    assert len(clinic.nobody.posts("/auth/login", body, expect=422).json()["errors"]) == 20
    query = "&".join(f"unknown{number}=1" for number in range(2000))
    assert len(clinic.nobody.gets(f"/health/live?{query}", expect=422).json()["errors"]) == 20


# Queries


@pytest.mark.parametrize("operation", ALL, ids=str)
def test_unknown_parameter_is_422(clinic: Clinic, operation: Operation) -> None:
    body = {"json": operation.good_body} if operation.media_type == JSON else {}
    if operation.media_type == FORM:
        body = {"content": b"username=a&password=b", "headers": {"content-type": FORM}}
    for query in ("unknown=1", "unknown", "Limit=5", "from_=2030-01-01T00:00:00Z", "%00=1", "%FF=1"):
        answer = operation.caller(clinic).sends(
            operation.method, f"{operation.good_path()}?{query}", key=fresh_key(), **body
        )
        assert code_of(answer) == (422, "validation_error"), query


@pytest.mark.parametrize("operation", LISTS, ids=str)
def test_parameter_given_twice_is_422(clinic: Clinic, operation: Operation) -> None:
    for name in ("limit", "cursor", *{str(field.place[0]) for field in operation.parameters("query")}):
        answer = operation.caller(clinic).gets(f"{operation.good_path()}?{name}=1&{name}=1")
        assert code_of(answer) == (422, "validation_error")


@pytest.mark.parametrize("operation", LISTS, ids=str)
def test_limits_of_the_limit(clinic: Clinic, operation: Operation) -> None:
    path = operation.open_path(clinic)
    for limit in ("1", "100"):
        operation.caller(clinic).gets(f"{path}?limit={limit}", expect=200)
    for limit in ("0", "101", "%205", "5%20", "5.0", "+5", "%2B5", "%EF%BC%91", "", "05", "1e1", "0x5", "null"):
        answer = operation.caller(clinic).gets(f"{path}?limit={limit}")
        assert code_of(answer) == (422, "validation_error"), limit


# Cursors


def test_cursor_damaged_by_one_character_anywhere_is_400(clinic: Clinic) -> None:
    cursor = first_cursor(clinic)
    for place, character in enumerate(cursor):
        for other in ("A" if character != "A" else "B", "_" if character != "_" else "-", "", "é", "="):
            damaged = cursor[:place] + other + cursor[place + 1 :]
            answer = clinic.amara.gets("/users/", params={"limit": "1", "cursor": damaged})
            assert code_of(answer) == (400, "invalid_cursor"), (place, other)
    for damaged in (cursor + "=", cursor + "A", " " + cursor, cursor + "\n", cursor * 2, "", "\0", "x" * 10_000):
        answer = clinic.amara.gets("/users/", params={"limit": "1", "cursor": damaged})
        assert code_of(answer) == (400, "invalid_cursor"), damaged


def test_last_character_of_a_cursor_has_one_spelling(clinic: Clinic) -> None:
    cursor = first_cursor(clinic)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    good = [
        character
        for character in alphabet
        if clinic.amara.gets("/users/", params={"cursor": cursor[:-1] + character}).status_code == 200
    ]
    assert good == [cursor[-1]]


def test_cursor_of_another_list_filter_or_caller_is_400(clinic: Clinic, elsewhere: Clinic) -> None:
    cursor = first_cursor(clinic)
    other_admin = clinic.hires("adam", role="admin")
    for person, path in (
        (clinic.amara, "/doctors/"),
        (clinic.amara, "/users/?role=patient"),
        (clinic.amara, "/audit-logs/"),
        (other_admin, "/users/"),
        (elsewhere.amara, "/users/"),
    ):
        joint = "&" if "?" in path else "?"
        assert code_of(person.gets(f"{path}{joint}cursor={cursor}")) == (400, "invalid_cursor")
    clinic.amara.gets(f"/users/?limit=2&cursor={cursor}", expect=200)


def first_cursor(clinic: Clinic) -> str:
    assert clinic.dora.id
    assert clinic.paul.id
    return str(clinic.amara.gets("/users/?limit=1", expect=200).json()["next_cursor"])


# Tokens


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Basic YTpi",
        b"Bearer \xff\xfe",
        b"Bearer a.b.c",
        b"Bearer " + b"a" * 60000,
        b"Bearer " + b"WyIiXQ.WyIiXQ.WyIiXQ",
        b"\xe2\x82\xac",
        b"Bearer\tx",
        b"bearer null",
        b"Bearer ..",
        b"Bearer .",
        b"{}",
    ],
)
def test_header_that_is_no_token_is_401(clinic: Clinic, value: bytes) -> None:
    answer = clinic.nobody.gets("/users/me", headers={"authorization": value})
    assert code_of(answer) == (401, "unauthenticated")


@pytest.mark.parametrize(
    "inner", ["[" * 3000, '{"a":' * 600, "1" * 3000, '"\\ud800"', "NaN", "null", "[]", '{"alg":[]}', '{"alg":{}}']
)
def test_token_whose_header_is_strange_json_is_401(clinic: Clinic, inner: str) -> None:
    import base64

    part = base64.urlsafe_b64encode(inner.encode()).rstrip(b"=").decode()
    for token in (f"{part}.e30.e30", f"{part}.{part}.x"):
        answer = clinic.nobody.gets("/users/me", headers={"authorization": f"Bearer {token}"})
        assert code_of(answer) == (401, "unauthenticated")


def test_two_tokens_are_none(client: TestClient, clinic: Clinic) -> None:
    token = f"Bearer {clinic.paul.token}".encode()
    for values in ([token, token], [token, b"Bearer x"], [b"Basic YTpi", token]):
        headers = [(b"authorization", value) for value in values]
        assert code_of(client.get("/users/me", headers=headers)) == (401, "unauthenticated")


@pytest.mark.parametrize(
    "name", ["accept", "x-request-id", "content-type", "idempotency-key", "cookie", "x-nobody-knows"]
)
def test_bytes_that_are_no_text_in_a_header_are_no_5xx(clinic: Clinic, name: str) -> None:
    for value in (b"\xff\xfe\x80", "ключ-ключ".encode(), b"a" * 60_000, b"\x7f"):
        for method, path in (("GET", "/users/me"), ("POST", "/bookings/")):
            answer = clinic.paul.sends(method, path, headers={name: value}, content=b"{}" if method == "POST" else None)
            assert answer.status_code < 500


# The order of checks


@pytest.mark.parametrize("operation", WITH_TOKEN, ids=str)
def test_checks_come_in_the_order_of_the_contract(clinic: Clinic, operation: Operation) -> None:
    """A request with everything wrong; then what was told is put right, and the next thing is told."""
    strangers = [one for one in (clinic.paul, clinic.dora, clinic.amara) if is_refused(one, operation)]
    unknown = "?unknown=1"
    bad_path = re.sub(r"\{[^}]+\}", "x", operation.path) + unknown
    huge, wrong = {"content": b"x" * 300_000}, {"content": b"{", "headers": {"content-type": "text/plain"}}
    caller, method = operation.caller(clinic), operation.method

    assert clinic.nobody.sends(method, bad_path, **huge).status_code == 413
    assert clinic.nobody.sends(method, bad_path, **wrong).status_code == 401
    for stranger in strangers:
        assert stranger.sends(method, bad_path, **wrong).status_code == 403
    if operation.media_type:
        assert caller.sends(method, bad_path, **wrong).status_code == 415
    broken = {"content": b"{", "headers": {"content-type": JSON}} if operation.media_type else {}
    if any(field.place == ("Idempotency-Key",) for field in operation.parameters("header")):
        assert code_of(caller.sends(method, bad_path, key="short", **broken)) == (400, "idempotency_key_invalid")
    if "{" in operation.path:
        assert caller.sends(method, bad_path, **broken).status_code == 404
    assert caller.sends(method, operation.good_path() + unknown, key=fresh_key(), **broken).status_code == 422
    if operation.media_type:
        assert caller.sends(method, operation.good_path(), key=fresh_key(), **broken).status_code == 422


def is_refused(person: Any, operation: Operation) -> bool:
    """Whether the role is refused: asked with a body that nothing can accept, so that nothing is done."""
    answer = person.sends(operation.method, operation.good_path() + "?unknown=1", content=b"{")
    return bool(answer.status_code == 403)
