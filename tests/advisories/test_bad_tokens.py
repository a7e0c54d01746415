"""Forty bad tokens at every operation that wants one: each is told the same, and nothing is done."""

import time
import uuid
from typing import Any

import jwt
import pytest

from tests.authz.needs import GUARDED
from tests.cast import Clinic, fresh_key
from tests.conftest import SECRET_KEY
from tests.identity.test_access_tokens import LONG_KEY, claims_of, part, signed
from tests.laws.catalog import named

BAD_TOKENS_MIN = 40


def bad_tokens(clinic: Clinic) -> dict[str, str]:
    """What a forger might try, each with everything else in order."""
    good = clinic.amara.token or ""
    header, payload, signature = good.split(".")
    claims = claims_of(clinic.amara)
    now = int(time.time())
    wrong_claims: dict[str, dict[str, Any]] = {
        "another issuer": {"iss": "somebody"},
        "no issuer": {"iss": ""},
        "another audience": {"aud": "somebody"},
        "several audiences": {"aud": ["telemed", "somebody"]},
        "nobody": {"sub": str(uuid.uuid4())[:-1]},
        "a number for a user": {"sub": 5},
        "expired": {"exp": now - 1},
        "expires at noon": {"exp": "noon"},
        "made in the future": {"iat": now + 3600},
        "another role": {"role": "root"},
        "no role": {"role": None},
        "several roles": {"role": ["admin"]},
        "a text for a clinic": {"clinic": "1"},
        "a truth for a clinic": {"clinic": True},
        "no session": {"sid": None},
        "a number for a session": {"sid": 5},
        "a text for a version": {"ver": "1"},
        "another limit": {"mfa": "none"},
    }
    return {
        "nothing": "",
        "nonsense": "nonsense",
        "two parts": f"{header}.{payload}",
        "four parts": f"{good}.{signature}",
        "no signature": f"{header}.{payload}.",
        "another signature": f"{header}.{payload}.{signature[::-1]}",
        "a changed payload": f"{header}.{part({**claims, 'role': 'admin'})}.{signature}",
        "no payload": f"{header}..{signature}",
        "no header": f".{payload}.{signature}",
        "algorithm none": f"{part({'alg': 'none', 'typ': 'at+jwt'})}.{part(claims)}.",
        "algorithm None": f"{part({'alg': 'None', 'typ': 'at+jwt'})}.{part(claims)}.{signature}",
        "algorithm RS256": f"{part({'alg': 'RS256', 'typ': 'at+jwt'})}.{payload}.{signature}",
        "algorithm HS384": signed(claims, algorithm="HS384", key=LONG_KEY),
        "algorithm HS512 with the key": jwt.encode(claims, SECRET_KEY.ljust(64), "HS512", headers={"typ": "at+jwt"}),
        "another key": signed(claims, key=LONG_KEY),
        "an empty key": signed(claims, key=" " * 32),
        "another kind": signed(claims, typ="JWT"),
        "a refresh token": clinic.amara.refresh_token or "",
        "a key from a file": signed(claims, kid="../../dev/null"),
        "a key from the web": signed(claims, key=LONG_KEY, jku="http://x.test/"),
        "a header that must be understood": signed(claims, crit=["x"], x=1),
        "huge": signed({**claims, "x": "y" * 5000}),
        "a tower of brackets": f"{header}.{part([[[[]]]] * 200)}.{signature}",
        **{name: signed({**claims, **changes}) for name, changes in wrong_claims.items()},
        **{f"no {claim}": signed({k: v for k, v in claims.items() if k != claim}) for claim in ("exp", "sub", "jti")},
    }


@pytest.mark.parametrize(("method", "path"), named(GUARDED))
def test_every_bad_token_is_401_at_every_operation(clinic: Clinic, method: str, path: str) -> None:
    tokens, id = bad_tokens(clinic), "the-same-one"
    assert len(tokens) >= BAD_TOKENS_MIN
    target = path.replace("{id}", clinic.amara.id)
    told = {}
    for name, token in tokens.items():
        answer = clinic.client.request(
            method,
            target,
            headers={
                "Authorization": f"Bearer {token}",
                "Idempotency-Key": fresh_key(),
                "X-Request-ID": "the-same-one",
            },
        )
        told[name] = (answer.status_code, answer.headers.get("www-authenticate"), answer.text)
    expected = clinic.client.request(method, target, headers={"X-Request-ID": id})
    same = (401, "Bearer", expected.text)
    assert {name: what for name, what in told.items() if what != same} == {}
