"""One-time codes and recovery codes: what each proves, and how long a wrong one is waited for."""

import base64
import hashlib
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pyotp
import pytest

from app.identity.mfa import rules as mfa
from app.identity.recovery import rules as recovery

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
NOW = datetime(2030, 1, 31, 12, 0, 5, tzinfo=UTC)
PRESENT = int(NOW.timestamp()) // 30


def code_of(steps: int = 0) -> str:
    return str(pyotp.TOTP(SECRET).at(NOW, counter_offset=steps))


def read(text: str, *, secret: str | None = SECRET, last_step: int = 0) -> mfa.Code | None:
    return mfa.read_code(text, secret=secret, last_step=last_step, now=NOW)


@pytest.mark.parametrize("steps", [-1, 0, 1])
def test_code_of_this_step_and_of_one_beside_it_is_good(steps: int) -> None:
    assert read(code_of(steps)) == mfa.Step(PRESENT + steps)


@pytest.mark.parametrize("steps", [-3, -2, 2, 3])
def test_code_of_another_step_is_not(steps: int) -> None:
    assert read(code_of(steps)) is None


@pytest.mark.parametrize("steps", [-1, 0, 1])
def test_code_is_good_once_and_none_before_it(steps: int) -> None:
    assert read(code_of(steps), last_step=PRESENT + steps) is None
    assert read(code_of(steps), last_step=PRESENT + steps - 1) == mfa.Step(PRESENT + steps)


def test_of_two_steps_with_one_code_the_earlier_is_spent() -> None:
    """Once in a million: the code is good again, as that of the later one."""
    earlier = 63_731_722
    at = datetime.fromtimestamp(earlier * 30, UTC)
    assert mfa.read_code("131447", secret=SECRET, last_step=0, now=at) == mfa.Step(earlier)
    assert mfa.read_code("131447", secret=SECRET, last_step=earlier, now=at) == mfa.Step(earlier + 1)


@pytest.mark.parametrize("text", ["", "12345", "1234567", "abcdef", "٣٣٣٣٣٣", "0x1234", "-12345"])
def test_what_is_no_six_digits_is_no_code(text: str) -> None:
    assert read(text) is None


def test_code_may_be_typed_in_groups() -> None:
    code = code_of()
    assert read(f" {code[:3]} {code[3:]} ") == read(f"{code[:3]}-{code[3:]}") == mfa.Step(PRESENT)


def test_without_an_app_no_digits_prove_anything() -> None:
    assert read(code_of(), secret=None) is None


def test_recovery_code_is_read_with_and_without_an_app() -> None:
    code = recovery.fresh_codes()[0]
    wanted = recovery.RecoveryCode(recovery.hash_of(code))
    assert read(code) == read(code, secret=None) == read(code.lower().replace("-", " ")) == wanted


def test_spending_binds_the_step_or_the_hash() -> None:
    assert mfa.Step(5).values == {"step": 5}
    assert recovery.RecoveryCode(b"hash").values == {"code_hash": b"hash"}


def factor(failures: int, ago_s: float | None = 0.0) -> mfa.Factor:
    return mfa.Factor(clinic_id=1, user_id=NOBODY, sealed=None, last_step=0, failures=failures, failed_ago_s=ago_s)


NOBODY = UUID(int=0)


def test_five_wrong_codes_are_free_then_each_doubles_the_wait_to_a_quarter_of_an_hour() -> None:
    assert [mfa.wait_s(factor(failures)) for failures in range(5)] == [0] * 5
    waits = [mfa.wait_s(factor(5 + more, 0.5)) for more in range(12)]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]
    assert mfa.wait_s(factor(1_000_000, 0.5)) == 900


@pytest.mark.parametrize(
    ("ago_s", "wait"), [(0.5, 16), (1.5, 15), (15.5, 1), (15.9, 1), (16.6, 0), (17.0, 0), (99.0, 0)]
)
def test_wait_is_what_is_left_in_whole_seconds(ago_s: float, wait: int) -> None:
    assert mfa.wait_s(factor(9, ago_s)) == wait


def test_who_has_never_failed_waits_for_nothing() -> None:
    assert mfa.wait_s(factor(50, None)) == 0


def test_secret_has_160_bits_and_is_another_each_time() -> None:
    secrets = {mfa.fresh_secret() for _ in range(20)}
    assert len(secrets) == 20
    assert {len(base64.b32decode(secret)) for secret in secrets} == {20}


def test_apps_read_the_address() -> None:
    parsed = pyotp.parse_uri(mfa.app_address(SECRET, email="dora@clinic.test"))
    assert (parsed.secret, parsed.issuer, parsed.name) == (SECRET, "Telemed", "dora@clinic.test")
    assert isinstance(parsed, pyotp.TOTP)
    assert (parsed.interval, parsed.digits) == (30, 6)


def test_step_is_30_s_and_one_off_is_fine() -> None:
    assert (mfa.STEP_S, mfa.STEPS_OFF) == (30, 1)
    later = NOW + timedelta(seconds=30)
    assert mfa.read_code(code_of(), secret=SECRET, last_step=0, now=later) == mfa.Step(PRESENT)


def test_ten_recovery_codes_of_80_bits_in_groups_of_four() -> None:
    codes = recovery.fresh_codes()
    assert len(set(codes)) == 10
    assert all(re.fullmatch(r"[A-Z2-7]{4}(-[A-Z2-7]{4}){3}", code) for code in codes)
    assert all(len(base64.b32decode(code.replace("-", ""))) == 10 for code in codes)


@pytest.mark.parametrize("text", ["", "A" * 15, "A" * 17, "0" * 16, "A" * 15 + "1"])
def test_what_is_no_16_letters_is_no_recovery_code(text: str) -> None:
    assert recovery.read_code(text) is None


def test_hash_of_a_recovery_code_does_not_see_how_it_is_typed() -> None:
    assert recovery.hash_of("ABCD-EFGH-IJKL-MNOP") == hashlib.sha256(b"ABCDEFGHIJKLMNOP").digest()
    assert recovery.hash_of(" abcd efgh\tijkl-mnop\n") == recovery.hash_of("ABCDEFGHIJKLMNOP")
    assert recovery.ungrouped("ab-cd ef") == "ABCDEF"
