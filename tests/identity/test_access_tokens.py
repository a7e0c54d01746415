"""Access tokens: one algorithm, one key, one kind; whatever else is presented is 401 unauthenticated."""

import base64
import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest
from httpx2 import Response

from app.identity.rules import Principal
from app.identity.tokens import AccessTokens
from app.kit.errors import Unauthenticated
from tests.cast import Clinic, Person
from tests.conftest import SECRET_KEY

HEADER = {"typ": "at+jwt"}
LONG_KEY = "x" * 64


def claims_of(person: Person) -> dict[str, Any]:
    return dict(jwt.decode(person.token or "", options={"verify_signature": False}))


def signed(claims: dict[str, Any], *, key: str = SECRET_KEY, algorithm: str = "HS256", **header: Any) -> str:
    return jwt.encode(claims, key, algorithm=algorithm, headers={**HEADER, **header})


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def present(clinic: Clinic, authorization: str | bytes) -> Response:
    return clinic.nobody.gets("/users/me", headers={"Authorization": authorization})


def assert_refused(response: Response) -> None:
    assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["cache-control"] == "no-store"


def test_forger_with_the_key_would_be_believed(clinic: Clinic) -> None:
    # Otherwise the refusals below would prove nothing.
    assert present(clinic, f"Bearer {signed(claims_of(clinic.paul))}").status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_scheme_is_compared_without_case(clinic: Clinic, scheme: str) -> None:
    assert present(clinic, f"{scheme} {clinic.paul.token}").status_code == 200


@pytest.mark.parametrize("scheme", ["", "Basic ", "Token ", "Bearer", "Bearer:", "Bearer,Bearer "])
def test_other_scheme_is_refused(clinic: Clinic, scheme: str) -> None:
    assert_refused(present(clinic, f"{scheme}{clinic.paul.token}"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer ..",
        "Bearer a.b.c",
        "Bearer null",
        b"Bearer \xe9.\xe9.\xe9",
        "Bearer a b",
    ],
)
def test_what_is_no_token_is_refused(clinic: Clinic, text: str | bytes) -> None:
    assert_refused(present(clinic, text))


def test_no_header_is_refused(clinic: Clinic) -> None:
    assert_refused(clinic.nobody.gets("/users/me"))


def test_token_in_query_or_cookie_is_refused(clinic: Clinic) -> None:
    assert_refused(clinic.nobody.gets(f"/users/me?access_token={clinic.paul.token}"))
    assert_refused(clinic.nobody.gets("/users/me", headers={"Cookie": f"access_token={clinic.paul.token}"}))


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", ""])
def test_token_without_a_signature_is_refused(clinic: Clinic, name: str) -> None:
    unsigned = f"{part({'alg': name, **HEADER})}.{part(claims_of(clinic.paul))}"
    signature = (clinic.paul.token or "").rpartition(".")[2]
    for token in (f"{unsigned}.", unsigned, f"{unsigned}.{signature}"):
        assert_refused(present(clinic, f"Bearer {token}"))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
@pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")
def test_another_algorithm_is_refused_even_with_the_key(clinic: Clinic, algorithm: str) -> None:
    assert_refused(present(clinic, f"Bearer {signed(claims_of(clinic.paul), algorithm=algorithm)}"))


@pytest.mark.parametrize("key", [LONG_KEY, SECRET_KEY[:-1], SECRET_KEY + "x", SECRET_KEY.upper()])
def test_another_key_is_refused(clinic: Clinic, key: str) -> None:
    assert_refused(present(clinic, f"Bearer {signed(claims_of(clinic.paul), key=key)}"))


def test_every_damaged_part_is_refused(clinic: Clinic) -> None:
    for place in range(3):
        parts = (clinic.paul.token or "").split(".")
        parts[place] = ("A" if parts[place][0] != "A" else "B") + parts[place][1:]
        assert_refused(present(clinic, f"Bearer {'.'.join(parts)}"))


def test_changed_claims_under_the_old_signature_are_refused(clinic: Clinic, elsewhere: Clinic) -> None:
    header, _, signature = (clinic.paul.token or "").split(".")
    for changes in ({"role": "admin"}, {"sub": clinic.amara.id}, {"clinic": elsewhere.id}, {"exp": 4102444800}):
        payload = part({**claims_of(clinic.paul), **changes})
        assert_refused(present(clinic, f"Bearer {header}.{payload}.{signature}"))


@pytest.mark.parametrize("typ", ["JWT", "jwt", "AT+JWT", "rt+jwt", "", None])
def test_another_kind_of_token_is_refused(clinic: Clinic, typ: str | None) -> None:
    assert_refused(present(clinic, f"Bearer {signed(claims_of(clinic.paul), typ=typ)}"))


@pytest.mark.parametrize("header", [{"kid": "../../dev/null"}, {"jku": "http://x.test/"}, {"x5u": "http://x.test/"}])
def test_header_cannot_choose_the_key(clinic: Clinic, header: dict[str, str]) -> None:
    assert_refused(present(clinic, f"Bearer {signed(claims_of(clinic.paul), key=LONG_KEY, **header)}"))


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "iat", "exp", "jti", "clinic", "role", "sid", "ver"])
def test_missing_claim_is_refused(clinic: Clinic, claim: str) -> None:
    claims = claims_of(clinic.paul)
    del claims[claim]
    assert_refused(present(clinic, f"Bearer {signed(claims)}"))


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "somebody"},
        {"aud": "somebody"},
        {"aud": ["telemed", "somebody"]},
        {"aud": ["telemed"]},
        {"exp": 1},
        {"exp": "soon"},
        {"iat": "now"},
        {"nbf": 4102444800},
        {"role": "root"},
        {"role": ["admin"]},
        {"role": {}},
        {"sub": "paul"},
        {"sub": str(uuid.uuid4())},
        {"sid": "x"},
        {"sid": 5},
        {"sid": ["x"]},
        {"sid": None},
        {"clinic": "1"},
        {"clinic": True},
        {"clinic": None},
        {"ver": "1"},
        {"ver": 1.0},
    ],
)
def test_wrong_claim_is_refused(clinic: Clinic, changes: dict[str, Any]) -> None:
    assert_refused(present(clinic, f"Bearer {signed({**claims_of(clinic.paul), **changes})}"))


def test_token_is_refused_from_the_second_in_which_it_expires(clinic: Clinic) -> None:
    now = int(time.time())
    for exp, status in ((now - 1, 401), (now, 401), (now + 60, 200)):
        token = signed({**claims_of(clinic.paul), "exp": exp})
        assert present(clinic, f"Bearer {token}").status_code == status


def test_own_id_in_another_clinic_is_nobody(clinic: Clinic, elsewhere: Clinic) -> None:
    token = signed({**claims_of(clinic.paul), "clinic": elsewhere.id})
    assert_refused(present(clinic, f"Bearer {token}"))


def test_refresh_token_is_no_access_token(clinic: Clinic) -> None:
    assert_refused(present(clinic, f"Bearer {clinic.paul.refresh_token}"))


def test_huge_token_is_refused(clinic: Clinic) -> None:
    padded = signed({**claims_of(clinic.paul), "padding": "x" * 4000})
    for token in (padded, "x" * 4097, f"{clinic.paul.token}{'A' * 60_000}"):
        assert_refused(present(clinic, f"Bearer {token}"))


def test_tower_of_brackets_is_refused(clinic: Clinic) -> None:
    tower = base64.urlsafe_b64encode(b'{"alg":' + b"[" * 2900).rstrip(b"=").decode()
    assert_refused(present(clinic, f"Bearer {tower}.e30.eHg"))


def test_token_holds_nothing_personal(clinic: Clinic) -> None:
    claims = claims_of(clinic.paul)
    assert set(claims) == {"iss", "aud", "sub", "iat", "exp", "jti", "clinic", "role", "sid", "ver"}
    assert claims["sub"] == clinic.paul.id
    assert claims["exp"] - claims["iat"] == 15 * 60


def test_no_two_tokens_are_the_same(clinic: Clinic) -> None:
    first, second = clinic.paul, clinic.paul.in_another_session()
    assert claims_of(first)["jti"] != claims_of(second)["jti"]
    assert claims_of(first)["sid"] != claims_of(second)["sid"]


@pytest.fixture
def tokens() -> AccessTokens:
    return AccessTokens("only-for-this-test-0123456789-abcdefghijklmnop", "HS256", timedelta(minutes=15))


def test_of_many_tokens_those_in_use_are_not_verified_again(
    tokens: AccessTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []
    decode = jwt.decode_complete

    def noted(token: str, *arguments: Any, **options: Any) -> Any:
        verified.append(token)
        return decode(token, *arguments, **options)

    monkeypatch.setattr(jwt, "decode_complete", noted)
    monkeypatch.setattr("app.identity.tokens.KNOWN_MAX", 2)
    used, once, another = (
        tokens.issue(Principal(1, UUID(int=number), "patient", UUID(int=2), 1), now=datetime.now(UTC))
        for number in range(3)
    )
    for token in (used, once, used, another, used, once):
        tokens.read(token)
    assert verified == [used, once, another, once]


def test_token_that_was_read_before_still_expires(tokens: AccessTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    person = Principal(1, UUID(int=1), "patient", UUID(int=2), 1)
    token = tokens.issue(person, now=datetime.now(UTC))
    assert tokens.read(token) == tokens.read(token) == person
    monkeypatch.setattr("app.identity.tokens.time.time", lambda: datetime.now(UTC).timestamp() + 15 * 60)
    with pytest.raises(Unauthenticated):
        tokens.read(token)
