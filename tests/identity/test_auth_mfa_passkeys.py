"""`/auth/mfa/passkeys`: passkeys as a second factor, added, asked for at a login, and removed."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest

from app.identity.passkeys import rules
from app.identity.passkeys.rules import RelyingParty
from tests.cast import PASSWORD, Clinic, Person
from tests.identity.authenticator import (
    PASSKEYS,
    Authenticator,
    adds_passkey,
    answers,
    asks,
    base64url,
    begins_passkey,
    challenge,
    logs_in_with,
)
from tests.identity.factors import TOTP, begins, login, refused, turns_on
from tests.patience import assert_refused_within_a_second, at_once, eventually, wait_for_blocked

CONFIRM = f"{PASSKEYS}/confirm"
INVALID = (401, "passkey_invalid")
OTHER_PASSWORD = "plum-tractor-kettle"


@pytest.fixture
def dora(clinic: Clinic) -> Person:
    return clinic.dora


def test_options_tell_a_browser_what_it_needs(dora: Person) -> None:
    device, _ = adds_passkey(dora)
    options = begins_passkey(dora)
    assert options["rp"] == {"id": "localhost", "name": "Telemed"}
    assert options["user"]["id"] == base64url(UUID(dora.id).bytes)
    assert options["user"]["name"] == dora.email
    assert [one["id"] for one in options["excludeCredentials"]] == [base64url(device.credential_id)]
    assert options["authenticatorSelection"]["userVerification"] == "preferred"
    assert len(options["challenge"]) == 43


def test_wrong_password_gets_401_invalid_credentials(dora: Person) -> None:
    assert refused(dora.posts(PASSKEYS, {"password": OTHER_PASSWORD})) == (401, "invalid_credentials")


def test_first_passkey_comes_with_recovery_codes_and_the_next_one_without(dora: Person) -> None:
    _, first = adds_passkey(dora)
    assert first["name"] == "Passkey"
    assert first["last_used_at"] is None
    assert len(set(first["recovery_codes"])) == 10
    _, second = adds_passkey(dora)
    assert second["recovery_codes"] is None
    assert login(dora, first["recovery_codes"][0]).status_code == 200


def test_login_needs_the_passkey_once_there_is_one(dora: Person) -> None:
    device, _ = adds_passkey(dora)
    assert refused(login(dora)) == (401, "otp_required")
    assert refused(login(dora, "123456")) == (401, "otp_invalid")
    tokens = logs_in_with(dora, device).json()
    assert tokens["token_type"] == "bearer"
    dora.token = tokens["access_token"]
    dora.gets("/consultations/my", expect=200)


def test_refresh_follows_as_after_any_login(dora: Person) -> None:
    device, _ = adds_passkey(dora)
    tokens = logs_in_with(dora, device).json()
    dora.clinic.nobody.posts("/auth/refresh", {"refresh_token": tokens["refresh_token"]}, expect=200)


def test_form_of_oauth_does_not_get_past_a_passkey(dora: Person) -> None:
    adds_passkey(dora)
    form = {"username": dora.email, "password": PASSWORD, "clinic": dora.clinic.slug}
    assert refused(dora.clinic.nobody.posts("/auth/token", data=form)) == (401, "otp_required")


def test_passkey_without_a_counter_logs_in_again_and_again(dora: Person) -> None:
    device, _ = adds_passkey(dora, Authenticator(counts=False))
    for _ in range(3):
        assert logs_in_with(dora, device).status_code == 200


def test_user_handle_is_of_the_person(dora: Person) -> None:
    device, _ = adds_passkey(dora)
    ticket, options = challenge(dora)
    assert refused(answers(dora, ticket, device.answers(options, user_handle=bytes(16)))) == INVALID
    ticket, options = challenge(dora)
    own = UUID(dora.id).bytes
    assert answers(dora, ticket, device.answers(options, user_handle=own)).status_code == 200


def test_challenge_is_given_for_the_right_password_only(clinic: Clinic) -> None:
    adds_passkey(clinic.dora)
    assert refused(asks(clinic.dora, password=OTHER_PASSWORD)) == (401, "invalid_credentials")
    assert refused(asks(Person(clinic, email="nobody@clinic.test"))) == (401, "invalid_credentials")
    clinic.amara.patches(f"/users/{clinic.dora.id}", {"is_active": False}, expect=200)
    assert refused(asks(clinic.dora)) == (401, "invalid_credentials")


def test_account_without_a_passkey_gets_409_no_passkey(clinic: Clinic, moment: datetime) -> None:
    assert refused(asks(clinic.dora)) == (409, "no_passkey")
    turns_on(clinic.dora, moment)
    assert refused(asks(clinic.dora)) == (409, "no_passkey")


def test_challenge_names_the_passkeys_of_the_account(clinic: Clinic) -> None:
    device, _ = adds_passkey(clinic.dora)
    adds_passkey(clinic.dev)
    _, options = challenge(clinic.dora)
    assert [one["id"] for one in options["allowCredentials"]] == [base64url(device.credential_id)]
    assert options["rpId"] == "localhost"


def test_answer_is_good_once(dora: Person) -> None:
    device, _ = adds_passkey(dora)
    ticket, options = challenge(dora)
    credential = device.answers(options)
    assert answers(dora, ticket, credential).status_code == 200
    assert refused(answers(dora, ticket, credential)) == INVALID
    assert refused(answers(dora, ticket, device.answers(options))) == INVALID


@pytest.mark.parametrize("counts", [True, False])
def test_of_five_with_one_challenge_at_once_one_gets_in(dora: Person, counts: bool) -> None:
    device, _ = adds_passkey(dora, Authenticator(counts=counts))
    ticket, options = challenge(dora)
    answered = [device.answers(options) for _ in range(5)]
    statuses = at_once([lambda one=one: answers(dora, ticket, one).status_code for one in answered])
    assert sorted(statuses) == [200] + [401] * 4


def test_answer_to_another_challenge_is_no_answer(dora: Person) -> None:
    device, _ = adds_passkey(dora)
    (ticket, _), (_, other) = challenge(dora), challenge(dora)
    assert refused(answers(dora, ticket, device.answers(other))) == INVALID


def test_answer_in_vain_spends_the_challenge(dora: Person) -> None:
    device, _ = adds_passkey(dora)
    ticket, options = challenge(dora)
    assert refused(answers(dora, ticket, Authenticator().answers(options))) == INVALID
    assert refused(answers(dora, ticket, device.answers(options))) == INVALID


def test_challenge_is_good_for_five_minutes(dora: Person, owner: psycopg.Connection[Any]) -> None:
    device, _ = adds_passkey(dora)
    ticket, options = challenge(dora)
    late = "UPDATE passkey_challenges SET created_at = created_at - interval '5 minutes' WHERE clinic_id = %s"
    owner.execute(late, [dora.clinic.id])
    assert refused(answers(dora, ticket, device.answers(options))) == INVALID
    assert logs_in_with(dora, device).status_code == 200
    left = owner.execute("SELECT count(*) FROM passkey_challenges WHERE clinic_id = %s", [dora.clinic.id]).fetchone()
    assert left == (1,), "who asks clears away what is over"


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"origin": "https://localhost:8000"},
        {"origin": "http://localhost"},
        {"origin": "http://localhost.evil.test"},
        {"host": "evil.test"},
    ],
    ids=["scheme", "port", "host", "relying party"],
)
def test_passkey_of_another_site_is_401_passkey_invalid(dora: Person, elsewhere: dict[str, str]) -> None:
    device, _ = adds_passkey(dora)
    there = device.cloned()
    for name, value in elsewhere.items():
        setattr(there, name, value)
    assert refused(logs_in_with(dora, there)) == INVALID
    credential = Authenticator(**elsewhere).creates(begins_passkey(dora))
    assert refused(dora.posts(CONFIRM, {"credential": credential})) == INVALID
    assert logs_in_with(dora, device).status_code == 200


def test_passkey_of_somebody_else_is_401_passkey_invalid(clinic: Clinic) -> None:
    adds_passkey(clinic.dora)
    device, _ = adds_passkey(clinic.dev)
    assert refused(logs_in_with(clinic.dora, device)) == INVALID


def test_signature_of_another_key_is_401_passkey_invalid(dora: Person) -> None:
    device, _ = adds_passkey(dora)
    liar = Authenticator()
    liar.credential_id, liar.sign_count = device.credential_id, 100
    assert refused(logs_in_with(dora, liar)) == INVALID


def test_ticket_of_another_clinic_opens_nothing_there_or_here(clinic: Clinic, elsewhere: Clinic) -> None:
    device, _ = adds_passkey(clinic.dora)
    adds_passkey(elsewhere.dora, device)
    (ticket, options), (other_ticket, other) = challenge(clinic.dora), challenge(elsewhere.dora)
    assert refused(answers(clinic.dora, ticket, device.answers(other))) == INVALID
    assert refused(answers(clinic.dora, other_ticket, device.answers(options))) == INVALID
    assert logs_in_with(clinic.dora, device).status_code == 200


@pytest.mark.parametrize("ticket", ["", "x", "A" * 48, "é"])
def test_ticket_that_is_none_is_401_passkey_invalid(dora: Person, ticket: str) -> None:
    device, _ = adds_passkey(dora)
    _, options = challenge(dora)
    assert refused(answers(dora, ticket, device.answers(options))) == INVALID


def test_copy_of_a_passkey_is_refused_and_leaves_a_row(clinic: Clinic) -> None:
    device, _ = adds_passkey(clinic.dora)
    copy = device.cloned()
    for _ in range(2):
        assert logs_in_with(clinic.dora, device).status_code == 200
    assert refused(logs_in_with(clinic.dora, copy)) == INVALID
    row = clinic.amara.audit_rows(action="user.login_failed")[0]
    assert (row["entity_id"], row["details"]) == (clinic.dora.id, {"reason": "passkey_cloned"})
    assert refused(logs_in_with(clinic.dora, copy)) == INVALID
    assert logs_in_with(clinic.dora, device).status_code == 200


def test_of_two_copies_at_once_one_gets_in(dora: Person) -> None:
    device, _ = adds_passkey(dora)
    copies = [device, device.cloned()]
    asked = [challenge(dora) for _ in copies]
    answered = [(ticket, copy.answers(options)) for copy, (ticket, options) in zip(copies, asked, strict=True)]
    statuses = at_once([lambda one=one: answers(dora, *one).status_code for one in answered])
    assert sorted(statuses) == [200, 401]


def test_password_that_was_changed_since_the_challenge_opens_nothing(dora: Person) -> None:
    device, _ = adds_passkey(dora)
    ticket, options = challenge(dora)
    dora.posts("/auth/password", {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}, expect=204)
    assert refused(answers(dora, ticket, device.answers(options))) == INVALID


def test_who_was_deactivated_since_the_challenge_gets_no_session(clinic: Clinic) -> None:
    device, _ = adds_passkey(clinic.dora)
    ticket, options = challenge(clinic.dora)
    clinic.amara.patches(f"/users/{clinic.dora.id}", {"is_active": False}, expect=200)
    assert refused(answers(clinic.dora, ticket, device.answers(options))) == INVALID


def test_registration_is_confirmed_once_by_the_session_that_began_it(clinic: Clinic) -> None:
    dora, other = clinic.dora, clinic.dora.in_another_session()
    credential = Authenticator().creates(begins_passkey(dora))
    for stranger in (other, clinic.dev):
        assert refused(stranger.posts(CONFIRM, {"credential": credential})) == INVALID
    dora.posts(CONFIRM, {"credential": credential, "name": "Blue key"}, expect=201)
    assert refused(dora.posts(CONFIRM, {"credential": credential})) == INVALID


def test_challenge_of_a_login_adds_no_passkey(dora: Person) -> None:
    adds_passkey(dora)
    _, options = challenge(dora)
    assert refused(dora.posts(CONFIRM, {"credential": Authenticator().creates(options)})) == INVALID


def test_challenge_of_a_registration_logs_nobody_in(dora: Person) -> None:
    device, _ = adds_passkey(dora)
    (ticket, _), options = challenge(dora), begins_passkey(dora)
    assert refused(answers(dora, ticket, device.answers(options))) == INVALID


def test_passkey_is_registered_once_in_a_clinic(clinic: Clinic) -> None:
    device, _ = adds_passkey(clinic.dora)
    for person in (clinic.dora, clinic.dev):
        credential = device.creates(begins_passkey(person))
        assert refused(person.posts(CONFIRM, {"credential": credential})) == (409, "passkey_exists")


def test_account_has_twenty_passkeys_at_most(dora: Person) -> None:
    for _ in range(20):
        adds_passkey(dora)
    credential = Authenticator().creates(begins_passkey(dora))
    assert refused(dora.posts(CONFIRM, {"credential": credential})) == (409, "too_many_passkeys")


@pytest.mark.parametrize("change", [{"type": "password"}, {"rawId": "nö"}, {"response": {}}, {"id": 5}])
def test_credential_that_is_none_is_422(dora: Person, change: dict[str, Any]) -> None:
    credential = {**Authenticator().creates(begins_passkey(dora)), **change}
    assert refused(dora.posts(CONFIRM, {"credential": credential})) == (422, "validation_error")


@pytest.mark.parametrize("part", ["clientDataJSON", "attestationObject"])
@pytest.mark.parametrize("nonsense", ["A", "AAAA", "oA", "e30", "W10", "n5-fn5-fn5-fn58"])
def test_nonsense_in_a_credential_is_401_passkey_invalid(dora: Person, part: str, nonsense: str) -> None:
    credential = Authenticator().creates(begins_passkey(dora))
    credential["response"][part] = nonsense
    assert refused(dora.posts(CONFIRM, {"credential": credential})) == INVALID


@pytest.mark.parametrize("part", ["clientDataJSON", "authenticatorData", "signature"])
@pytest.mark.parametrize("nonsense", ["A", "AAAA", "e30"])
def test_nonsense_in_an_answer_is_401_passkey_invalid(dora: Person, part: str, nonsense: str) -> None:
    device, _ = adds_passkey(dora)
    ticket, options = challenge(dora)
    credential = device.answers(options)
    credential["response"][part] = nonsense
    assert refused(answers(dora, ticket, credential)) == INVALID


def test_own_passkeys_are_listed_newest_first(clinic: Clinic) -> None:
    first, _ = adds_passkey(clinic.dora)
    adds_passkey(clinic.dora)
    adds_passkey(clinic.dev)
    logs_in_with(clinic.dora, first)
    page = clinic.dora.gets(f"{PASSKEYS}?limit=1", expect=200).json()
    rest = clinic.dora.gets(f"{PASSKEYS}?limit=1&cursor={page['next_cursor']}", expect=200).json()
    assert rest["next_cursor"] is None
    newest, oldest = page["items"][0], rest["items"][0]
    assert newest["created_at"] > oldest["created_at"]
    assert newest["last_used_at"] is None
    assert oldest["last_used_at"] is not None
    assert set(newest) == {"id", "name", "created_at", "last_used_at"}


def test_adding_a_passkey_ends_the_other_sessions(dora: Person) -> None:
    other = dora.in_another_session()
    adds_passkey(dora)
    assert_refused_within_a_second(other)
    assert dora.gets("/users/me").status_code == 200


def test_removed_passkey_opens_nothing_and_the_other_sessions_end(dora: Person) -> None:
    device, added = adds_passkey(dora)
    kept, _ = adds_passkey(dora)
    other = Person(dora.clinic, email=dora.email)
    other.token = logs_in_with(dora, device).json()["access_token"]
    path = f"{PASSKEYS}/{added['id']}"
    assert refused(dora.deletes(path, json={"password": OTHER_PASSWORD})) == (401, "invalid_credentials")
    dora.deletes(path, json={"password": PASSWORD}, expect=204)
    eventually(lambda: other.gets("/users/me").status_code == 401)
    assert refused(logs_in_with(dora, device)) == INVALID
    assert logs_in_with(dora, kept).status_code == 200
    assert refused(dora.deletes(path, json={"password": PASSWORD})) == (404, "not_found")


def test_recovery_codes_go_with_the_last_factor(dora: Person, owner: psycopg.Connection[Any]) -> None:
    for _ in range(2):
        _, added = adds_passkey(dora)
        dora.deletes(f"{PASSKEYS}/{added['id']}", json={"password": PASSWORD}, expect=204)
        left = owner.execute("SELECT FROM recovery_codes WHERE clinic_id = %s", [dora.clinic.id]).fetchall()
        assert not left
    assert login(dora).status_code == 200


def test_app_and_passkey_stand_in_for_each_other(dora: Person, moment: datetime) -> None:
    phone, codes = turns_on(dora, moment)
    device, added = adds_passkey(dora)
    assert added["recovery_codes"] is None
    assert logs_in_with(dora, device).status_code == 200
    assert login(dora, phone.code()).status_code == 200
    dora.deletes(TOTP, json={"otp": codes[0]}, expect=204)
    assert refused(login(dora, phone.code(1))) == (401, "otp_invalid")
    assert refused(login(dora, codes[0])) == (401, "otp_invalid")
    assert login(dora, codes[1]).status_code == 200
    assert logs_in_with(dora, device).status_code == 200


def test_app_that_joins_a_passkey_brings_new_recovery_codes(dora: Person, moment: datetime) -> None:
    _, added = adds_passkey(dora)
    _, codes = turns_on(dora, moment)
    assert refused(login(dora, added["recovery_codes"][0])) == (401, "otp_invalid")
    assert login(dora, codes[0]).status_code == 200


def test_passkey_is_enough_where_a_second_factor_is_demanded(clinic: Clinic) -> None:
    clinic.dora.gets("/users/me", expect=200)
    clinic.demands_second_factor("doctor")
    device, _ = adds_passkey(clinic.dora.logs_in())
    assert refused(clinic.dora.gets("/consultations/my")) == (403, "second_factor_required")
    tokens = clinic.dora.posts("/auth/refresh", {"refresh_token": clinic.dora.refresh_token}, expect=200).json()
    clinic.dora.token = tokens["access_token"]
    clinic.dora.gets("/consultations/my", expect=200)
    clinic.dora.token = logs_in_with(clinic.dora, device).json()["access_token"]
    clinic.dora.gets("/consultations/my", expect=200)


def test_only_passkey_stays_where_a_second_factor_is_demanded(clinic: Clinic, moment: datetime) -> None:
    dora = clinic.dora
    _, added = adds_passkey(dora)
    clinic.demands_second_factor("doctor")
    path = f"{PASSKEYS}/{added['id']}"
    assert refused(dora.deletes(path, json={"password": PASSWORD})) == (409, "last_second_factor")
    phone, _ = turns_on(dora, moment)
    dora.deletes(path, json={"password": PASSWORD}, expect=204)
    assert refused(dora.deletes(TOTP, json={"otp": phone.code()})) == (409, "last_second_factor")


def test_of_two_factors_one_stays_when_both_are_removed_at_once(clinic: Clinic) -> None:
    dora = clinic.dora
    paths = [f"{PASSKEYS}/{adds_passkey(dora)[1]['id']}" for _ in range(2)]
    clinic.demands_second_factor("doctor")
    removals = [lambda path=path: dora.deletes(path, json={"password": PASSWORD}).status_code for path in paths]
    assert sorted(at_once(removals)) == [204, 409]


def test_everything_leaves_a_row_and_none_tells_a_secret(clinic: Clinic) -> None:
    dora = clinic.dora
    device, added = adds_passkey(dora)
    ticket, options = challenge(dora)
    answers(dora, ticket, device.answers(options))
    answers(dora, ticket, device.answers(options))
    dora.deletes(f"{PASSKEYS}/{added['id']}", json={"password": PASSWORD}, expect=204)
    rows = clinic.amara.audit_rows(entity_id=dora.id)
    assert [(row["action"], row["outcome"]) for row in rows[:6]] == [
        ("user.passkey_removed", "success"),
        ("user.login_failed", "failure"),
        ("user.logged_in", "success"),
        ("user.login_begun", "success"),
        ("user.passkey_added", "success"),
        ("user.passkey_begun", "success"),
    ]
    assert rows[4]["details"] == {"passkey_id": added["id"]}
    told = json.dumps(rows)
    for secret in (ticket, options["challenge"], *added["recovery_codes"], base64url(device.credential_id)):
        assert secret not in told


def test_table_keeps_no_ticket(dora: Person, owner: psycopg.Connection[Any]) -> None:
    adds_passkey(dora)
    ticket, _ = challenge(dora)
    rows = owner.execute("SELECT c::text FROM passkey_challenges AS c WHERE clinic_id = %s", [dora.clinic.id])
    assert ticket not in str(rows.fetchall())


@pytest.mark.parametrize(
    ("url", "host", "origin"),
    [
        ("http://localhost:8000", "localhost", "http://localhost:8000"),
        ("https://Clinic.Example/app/", "clinic.example", "https://clinic.example"),
        ("https://clinic.example:443", "clinic.example", "https://clinic.example"),
        ("https://clinic.example:8443", "clinic.example", "https://clinic.example:8443"),
        ("http://[::1]:8000", "::1", "http://[::1]:8000"),
    ],
)
def test_site_is_written_as_browsers_write_it(url: str, host: str, origin: str) -> None:
    assert RelyingParty.at(url) == RelyingParty(host, origin)


@pytest.mark.parametrize(("told", "stored", "moves"), [(1, 0, True), (2, 1, True), (0, 0, True), (1, 1, False)])
def test_counter_moves_on_or_there_is_none(told: int, stored: int, moves: bool) -> None:
    assert rules.counts_on(told, stored=stored) is moves
    assert not rules.counts_on(0, stored=5)


@pytest.mark.parametrize("factor", ["app", "passkey"])
def test_login_that_waited_while_a_factor_was_added_gets_no_session(
    dora: Person, moment: datetime, owner: psycopg.Connection[Any], database_url: str, factor: str
) -> None:
    phone, device = begins(dora, moment), Authenticator()
    credential = device.creates(begins_passkey(dora))
    with ThreadPoolExecutor(2) as people:
        with psycopg.connect(database_url) as holding:
            holding.execute("SELECT FROM users WHERE id = %s FOR NO KEY UPDATE", [dora.id])
            if factor == "app":
                adding = people.submit(dora.posts, f"{TOTP}/confirm", {"otp": phone.code()})
            else:
                adding = people.submit(dora.posts, CONFIRM, {"credential": credential})
            wait_for_blocked(owner, count=1)
            entering = people.submit(login, dora)
            wait_for_blocked(owner, count=2)
        assert adding.result().status_code in (200, 201)
        assert refused(entering.result()) == (401, "invalid_credentials")
    assert refused(login(dora)) == (401, "otp_required")
