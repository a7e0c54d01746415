"""Every error code that can be raised is in the OpenAPI document, in the contract, and in a test."""

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app import main
from app.http.problems import STATUS
from app.kit.errors import DomainError
from tests.contract import document

TESTS = Path(__file__).parents[1]
CONTRACT = {
    "validation_error": 422, "unauthenticated": 401, "forbidden": 403, "not_found": 404, "method_not_allowed": 405,
    "body_too_large": 413, "unsupported_media_type": 415, "internal_error": 500, "unavailable": 503,
    "invalid_cursor": 400, "email_taken": 409, "password_too_weak": 422, "invalid_credentials": 401,
    "invalid_token": 401, "user_has_history": 409, "slot_overlap": 409, "slot_booked": 409,
    "idempotency_key_missing": 400, "idempotency_key_invalid": 400, "idempotency_key_reused": 422,
    "idempotency_in_flight": 409, "idempotency_key_expired": 409, "slot_not_found": 404, "slot_already_yours": 409,
    "slot_unavailable": 409, "patient_overlap": 409, "invalid_transition": 409, "too_late": 409,
    "consultation_not_completed": 409, "prescription_exists": 409, "rate_limited": 429,
    "otp_required": 401, "otp_invalid": 401, "totp_already_on": 409, "booking_limit_reached": 409,
    "second_factor_required": 403, "last_second_factor": 409,
    "passkey_invalid": 401, "no_passkey": 409, "passkey_exists": 409, "too_many_passkeys": 409, "already_reviewed": 409,
}  # fmt: skip
# In the contract, not in the code yet. The law fails when one of them is there: move it up then.
TO_COME: dict[str, int] = {}
SAID_IN_TESTS = "\n".join(path.read_text() for path in TESTS.rglob("test_*.py") if path != Path(__file__))


def test_code_and_contract_know_the_same_errors() -> None:
    assert main.ROUTERS, "imported, so that every room has told its errors"
    assert {code: STATUS[error.kind] for code, error in DomainError.by_code.items()} == CONTRACT


def test_what_is_to_come_is_not_there() -> None:
    assert not TO_COME.keys() & CONTRACT.keys()


@pytest.mark.parametrize("code", CONTRACT)
def test_error_is_documented(client: TestClient, code: str) -> None:
    said = str(document(client))
    assert re.search(rf"['`]{code}['`]", said), f"{code} is nowhere in the OpenAPI document"


@pytest.mark.parametrize("code", CONTRACT)
def test_error_is_tested(code: str) -> None:
    assert f'"{code}"' in SAID_IN_TESTS, f"no test asserts {code}"


@pytest.mark.parametrize("code", CONTRACT)
def test_error_tells_a_human_what_to_do(code: str) -> None:
    error = DomainError.by_code[code]
    assert error.sentence.endswith(".")
    assert error.__doc__
