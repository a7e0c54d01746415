"""The rules of identity: the permission table, what a refresh token leads to, when two e-mails are one."""

import itertools
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from app.identity.rules import PERMISSIONS, ROLES, STAFF, Permission, Principal, may
from app.identity.sessions.rules import KEPT_AFTER_EXPIRY, REPEAT_WITHIN, Decision, Presented, decide
from app.identity.users.rules import (
    DEFAULT_CLINIC,
    EMAIL_LENGTH_MAX,
    has_trigram,
    is_slug,
    normalized_email,
    time_zones,
    valid_email,
)

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)

A, D, P = "admin", "doctor", "patient"
# The contract's column *Who*, once more: a change of the table must be meant twice.
WHO = {
    Permission.KEEP_OWN_ACCOUNT: {A, D, P},
    Permission.MANAGE_USERS: {A},
    Permission.FIND_DOCTORS: {A, D, P},
    Permission.OFFER_SLOTS: {D},
    Permission.SEE_SLOTS: {A, D, P},
    Permission.WITHDRAW_SLOTS: {A, D},
    Permission.BOOK_SLOTS: {P},
    Permission.SEE_OWN_CONSULTATIONS: {D, P},
    Permission.SEE_CONSULTATION: {A, D, P},
    Permission.SEE_ALL_CONSULTATIONS: {A},
    Permission.CHANGE_CONSULTATION: {A, D, P},
    Permission.PRESCRIBE: {D},
    Permission.SEE_PRESCRIPTIONS: {D, P},
    Permission.READ_AUDIT_LOG: {A},
    Permission.BREAK_GLASS: {D},
    Permission.REVIEW_BREAK_GLASS: {A},
}


def test_every_permission_is_in_the_table() -> None:
    assert set(PERMISSIONS) == set(Permission) == set(WHO)


@pytest.mark.parametrize("permission", Permission)
@pytest.mark.parametrize("role", [A, D, P, "", "root", "Admin"])
def test_role_may_what_the_contract_says_and_nothing_else(role: str, permission: Permission) -> None:
    assert may(role, permission) == (role in WHO[permission])


def test_there_are_three_roles() -> None:
    assert {A, D, P} == ROLES


def test_staff_are_doctors_and_admins() -> None:
    assert {D, A} == STAFF


def test_principal_is_good_for_everything_unless_told_otherwise() -> None:
    principal = Principal(clinic_id=1, user_id=uuid.uuid4(), role=D, session_id=uuid.uuid4(), token_version=1)
    assert not principal.needs_factor


def test_session_is_kept_for_the_longest_life_of_an_access_token() -> None:
    assert timedelta(days=1) == KEPT_AFTER_EXPIRY


def presented(
    *,
    is_active: bool = True,
    expires_in: timedelta = timedelta(days=1),
    has_ended: bool = False,
    used_ago: timedelta | None = None,
    is_successor_used: bool = False,
) -> Presented:
    return Presented(
        session_id=uuid.uuid4(),
        user_id=uuid.uuid4(),
        role=P,
        is_active=is_active,
        token_version=1,
        now=NOW,
        expires_at=NOW + expires_in,
        session_ended_at=NOW - timedelta(hours=1) if has_ended else None,
        used_at=NOW - used_ago if used_ago is not None else None,
        successor_used_at=NOW if is_successor_used else None,
        needs_factor=False,
    )


@pytest.mark.parametrize(
    ("expires_in", "decision"),
    [(MOMENT, Decision.ROTATE), (timedelta(0), Decision.REFUSE), (-MOMENT, Decision.REFUSE)],
)
def test_unused_token_is_rotated_until_it_expires(expires_in: timedelta, decision: Decision) -> None:
    assert decide(presented(expires_in=expires_in)) is decision


@pytest.mark.parametrize(
    ("used_ago", "decision"),
    [
        (-MOMENT, Decision.REPEAT),
        (timedelta(0), Decision.REPEAT),
        (REPEAT_WITHIN, Decision.REPEAT),
        (REPEAT_WITHIN + MOMENT, Decision.END_FAMILY),
        (timedelta(days=40), Decision.END_FAMILY),
    ],
)
def test_used_token_is_repeated_for_30_s(used_ago: timedelta, decision: Decision) -> None:
    assert timedelta(seconds=30) == REPEAT_WITHIN
    assert decide(presented(used_ago=used_ago)) is decision


@pytest.mark.parametrize("used_ago", [timedelta(0), REPEAT_WITHIN, timedelta(days=1)])
def test_token_whose_successor_was_used_ends_the_family(used_ago: timedelta) -> None:
    assert decide(presented(used_ago=used_ago, is_successor_used=True)) is Decision.END_FAMILY


def test_nothing_is_decided_for_an_ended_session_or_an_inactive_user() -> None:
    for used_ago, is_successor_used in itertools.product((None, timedelta(0), timedelta(days=1)), (False, True)):
        for has_ended, is_active in ((True, True), (False, False), (True, False)):
            token = presented(
                used_ago=used_ago, is_successor_used=is_successor_used, has_ended=has_ended, is_active=is_active
            )
            assert decide(token) is Decision.REFUSE


@pytest.mark.parametrize(
    "same",
    [
        ("ada@example.com", "ADA@EXAMPLE.COM", "  ada@Example.com\n", "\uff41da@example.com"),
        ("jos\u00e9@example.com", "jose\u0301@example.com", "JOS\u00c9@example.com"),
        ("ada@m\u00fcnchen.example", "ada@xn--mnchen-3ya.example", "ADA@XN--MNCHEN-3YA.EXAMPLE"),
        ("no e-mail", " NO E-MAIL "),
    ],
)
def test_emails_are_compared_without_case_space_or_spelling(same: tuple[str, ...]) -> None:
    assert len({normalized_email(text) for text in same}) == 1


def test_other_emails_are_others() -> None:
    emails = ["ada@example.com", "ada@example.org", "a.da@example.com", "ada+1@example.com", "adá@example.com"]
    assert len({normalized_email(email) for email in emails}) == len(emails)


@pytest.mark.parametrize("text", ["", "ada", "ada@", "@example.com", "ada@example", "ada@@example.com", "ada@-x.com"])
def test_what_is_no_email_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^is not an e-mail address$"):
        valid_email(text)


@pytest.mark.parametrize("text", ["ada@clinic.test", "ada@intranet.lan1"])
def test_domain_need_not_be_known_to_the_world(text: str) -> None:
    assert valid_email(f" {text} ") == text


def test_main_is_the_clinic_of_who_names_none_and_emails_have_254_characters() -> None:
    assert (DEFAULT_CLINIC, EMAIL_LENGTH_MAX) == ("main", 254)


@pytest.mark.parametrize(
    ("slug", "is_good"),
    [
        ("main", True),
        ("a", True),
        ("a-1", True),
        ("x" * 63, True),
        ("", False),
        ("-a", False),
        ("a-", False),
        ("A", False),
        ("a_b", False),
        ("a b", False),
        ("a\n", False),
        ("é", False),
        ("x" * 64, False),
    ],
)
def test_slug_is_1_to_63_of_letters_digits_and_inner_hyphens(slug: str, is_good: bool) -> None:
    assert is_slug(slug) is is_good


def test_time_zones_are_those_of_the_iana() -> None:
    assert {"UTC", "Europe/Paris", "Africa/Lagos"} <= time_zones()
    assert "Mars/Olympus" not in time_zones()


@pytest.mark.parametrize("text", ["abc", "ana b", "-42x-", "Zoë", "100%", "東京都"])
def test_three_letters_or_digits_in_a_row_have_a_trigram(text: str) -> None:
    assert has_trigram(text)


@pytest.mark.parametrize("text", ["", "ab", "a b c", "o'h", "___", "%%%", "a_b", "   "])
def test_less_has_no_trigram(text: str) -> None:
    assert not has_trigram(text)
