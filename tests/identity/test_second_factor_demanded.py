"""A clinic demands a second factor of its doctors: who has none can set one up, and nothing else."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg
import pytest

from tests.cast import Clinic, Person
from tests.identity.factors import CONFIRM, TOTP, login, refused, turns_on
from tests.patience import assert_refused_within_a_second, assert_still_admitted_after_a_second, at_once, eventually

REQUIRED = (403, "second_factor_required")


def by_login(person: Person) -> Person:
    return person.logs_in()


def by_form(person: Person) -> Person:
    form = {"username": person.email, "password": person.password, "clinic": person.clinic.slug}
    return takes(person, person.clinic.nobody.posts("/auth/token", data=form, expect=200).json())


def by_refresh(person: Person) -> Person:
    return takes(person, person.posts("/auth/refresh", {"refresh_token": person.refresh_token}, expect=200).json())


def takes(person: Person, tokens: dict[str, Any]) -> Person:
    person.token, person.refresh_token = tokens["access_token"], tokens["refresh_token"]
    return person


def asked(person: Person) -> tuple[int, str]:
    return refused(person.gets("/consultations/my"))


WAYS = pytest.mark.parametrize("way", [by_login, by_form, by_refresh])
Way = Callable[[Person], Person]


@WAYS
def test_who_has_no_factor_gets_403_second_factor_required_on_every_way_to_a_token(clinic: Clinic, way: Way) -> None:
    dora = clinic.dora
    clinic.demands_second_factor("doctor")
    assert asked(way(dora)) == REQUIRED
    assert dora.gets("/users/me").status_code == 200


def test_sentence_says_what_to_do(clinic: Clinic) -> None:
    dora = clinic.dora
    clinic.demands_second_factor("doctor")
    assert "/auth/mfa/totp" in dora.logs_in().gets("/consultations/my").json()["detail"]


def test_tokens_that_are_out_end_within_a_second_and_a_refresh_leads_to_enrolling(clinic: Clinic) -> None:
    dora, amara = clinic.dora, clinic.amara
    clinic.demands_second_factor("doctor")
    assert_refused_within_a_second(dora)
    assert asked(by_refresh(dora)) == REQUIRED
    assert amara.gets("/audit-logs/").status_code == 200


def test_who_has_a_factor_notices_nothing(clinic: Clinic, moment: datetime) -> None:
    phone, _ = turns_on(clinic.dora, moment)
    clinic.demands_second_factor("doctor")
    assert_still_admitted_after_a_second(clinic.dora)
    takes(clinic.dora, login(clinic.dora, phone.code()).json()).gets("/consultations/my", expect=200)


def test_session_is_whole_after_the_factor_is_confirmed_and_the_token_refreshed(
    clinic: Clinic, moment: datetime
) -> None:
    dora = clinic.dora
    clinic.demands_second_factor("doctor")
    phone, _ = turns_on(dora.logs_in(), moment)
    assert asked(dora) == REQUIRED
    by_refresh(dora).gets("/consultations/my", expect=200)
    takes(dora, login(dora, phone.code()).json()).gets("/consultations/my", expect=200)


def test_other_session_of_who_sets_a_factor_up_ends(clinic: Clinic, moment: datetime) -> None:
    dora = clinic.dora
    clinic.demands_second_factor("doctor")
    other = dora.in_another_session()
    turns_on(dora.logs_in(), moment)
    assert refused(other.posts("/auth/refresh", {"refresh_token": other.refresh_token})) == (401, "invalid_token")


def test_refresh_token_of_an_enrolling_session_never_gets_more(clinic: Clinic) -> None:
    dora = clinic.dora
    clinic.demands_second_factor("doctor")
    dora.logs_in()
    for _ in range(3):
        assert asked(by_refresh(dora)) == REQUIRED


def test_other_roles_are_not_asked(clinic: Clinic) -> None:
    clinic.demands_second_factor("doctor", "admin")
    clinic.nobody.posts(
        "/auth/register",
        {"email": "p@clinic.test", "password": "plum-tractor-candle", "full_name": "P", "clinic": clinic.slug},
        expect=201,
    )
    Person(clinic, email="p@clinic.test").logs_in().gets("/consultations/my", expect=200)


def test_other_clinics_are_not_asked(clinic: Clinic, elsewhere: Clinic) -> None:
    dora = elsewhere.dora
    clinic.demands_second_factor("doctor", "admin")
    assert_still_admitted_after_a_second(dora)
    dora.logs_in().gets("/consultations/my", expect=200)


def test_who_is_made_a_doctor_is_asked(clinic: Clinic) -> None:
    paul = clinic.paul
    clinic.demands_second_factor("doctor")
    clinic.amara.patches(f"/users/{paul.id}", {"role": "doctor"}, expect=200)
    assert_refused_within_a_second(paul)
    assert asked(by_refresh(paul)) == REQUIRED


def test_demand_that_is_given_up_is_over_at_the_next_refresh(clinic: Clinic) -> None:
    dora = clinic.dora
    clinic.demands_second_factor("doctor")
    assert asked(dora.logs_in()) == REQUIRED
    clinic.demands_second_factor()
    by_refresh(dora).gets("/consultations/my", expect=200)


def test_only_factor_stays_where_it_is_demanded(clinic: Clinic, moment: datetime) -> None:
    phone, codes = turns_on(clinic.dora, moment)
    clinic.demands_second_factor("doctor")
    for code in (phone.code(), codes[0]):
        assert refused(clinic.dora.deletes(TOTP, json={"otp": code})) == (409, "last_second_factor")
    # It is not used up, and the session goes on.
    takes(clinic.dora, login(clinic.dora, codes[0]).json())
    clinic.demands_second_factor()
    clinic.dora.deletes(TOTP, json={"otp": phone.code()}, expect=204)


def test_wrong_code_is_401_before_it_is_told_that_the_factor_must_stay(clinic: Clinic, moment: datetime) -> None:
    turns_on(clinic.dora, moment)
    clinic.demands_second_factor("doctor")
    assert refused(clinic.dora.deletes(TOTP, json={"otp": "000000"})) == (401, "otp_invalid")


def test_refusals_and_the_demand_leave_rows(clinic: Clinic) -> None:
    dora, amara = clinic.dora, clinic.amara
    clinic.demands_second_factor("doctor")
    asked(dora.logs_in())
    [demand] = amara.audit_rows(action="clinic.second_factor_demanded")
    assert (demand["entity_type"], demand["entity_id"], demand["actor_id"]) == ("clinic", str(clinic.id), None)
    assert demand["details"] == {"roles": ["doctor"]}
    [denied] = amara.audit_rows(action="request.denied")
    assert denied["actor_id"] == dora.id
    assert denied["details"]["reason"] == "second_factor_required"


def test_factor_is_not_removed_while_the_clinic_begins_to_demand_one(
    clinic: Clinic, moment: datetime, owner: psycopg.Connection[Any]
) -> None:
    """Whichever is first, nobody is left with a whole token and no factor."""
    phone, _ = turns_on(clinic.dora, moment)

    def removes() -> int:
        return clinic.dora.deletes(TOTP, json={"otp": phone.code()}).status_code

    def demands() -> int:
        clinic.demands_second_factor("doctor")
        return 0

    status, _ = at_once([removes, demands])
    has_factor = owner.execute("SELECT FROM totp_secrets WHERE clinic_id = %s", [clinic.id]).fetchone() is not None
    assert (status, has_factor) in ((204, False), (409, True))
    if has_factor:
        clinic.dora.gets("/consultations/my", expect=200)
    else:
        eventually(lambda: clinic.dora.gets("/users/me").status_code == 401)
        assert asked(by_refresh(clinic.dora)) == REQUIRED


def test_confirming_needs_no_whole_token(clinic: Clinic) -> None:
    dora = clinic.dora
    clinic.demands_second_factor("doctor")
    assert refused(dora.logs_in().posts(CONFIRM, {"otp": "000000"})) == (401, "otp_invalid")
