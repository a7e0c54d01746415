"""Keys after their seven days: gone where the record keeps them from executing again, there for ever where not."""

from typing import Any

import psycopg
import pytest

from app.db import turns
from tests.cast import Clinic, fresh_key, iso, some_time
from tests.patience import at_once
from tests.prescription.test_post_prescriptions import held_consultation
from tests.tables import age_key, held
from tests.worker.house import works

ABSENT = 2**63 - 1
EXPIRED = "idempotency_key_expired"


def is_kept(owner: psycopg.Connection[Any], key: str) -> bool:
    """Whether the key has a row."""
    row = owner.execute("SELECT EXISTS (SELECT FROM idempotency_keys WHERE key = %s)", [key]).fetchone()
    assert row is not None
    return bool(row[0])


@pytest.mark.parametrize(("days", "stays"), [(6.99, True), (7.01, False)])
def test_key_of_a_booking_goes_after_seven_days(
    clinic: Clinic, owner: psycopg.Connection, days: float, stays: bool
) -> None:
    slot, key = clinic.dora.offers(), fresh_key()
    first = clinic.paul.books(slot, key=key, expect=201)
    age_key(owner, key, days=days)
    works(clinic)
    assert is_kept(owner, key) == stays
    if stays:
        assert clinic.paul.books(slot, key=key, expect=201).content == first.content


@pytest.mark.parametrize("which", ["same slot", "open slot", "taken slot", "no slot"])
@pytest.mark.parametrize("is_cancelled", [False, True])
def test_forgotten_key_of_a_booking_answers_expired_with_location(
    clinic: Clinic, owner: psycopg.Connection, which: str, is_cancelled: bool
) -> None:
    slot, other, key = clinic.dora.offers(), clinic.dora.offers(), fresh_key()
    first = clinic.paul.books(slot, key=key, expect=201)
    if is_cancelled:
        clinic.paul.cancels(first.json(), expect=200)
    if which == "taken slot":
        clinic.petra.has_booked(other)
    age_key(owner, key, days=8)
    works(clinic)
    asked = {"same slot": slot, "no slot": ABSENT}.get(which, other)
    # A reuse may leave a row, which goes the same way.
    for _ in range(2):
        refused = clinic.paul.books(asked, key=key, expect=409)
        assert refused.json()["code"] == EXPIRED
        assert refused.headers["location"] == first.headers["location"]
        if is_kept(owner, key):
            age_key(owner, key, days=8)
        works(clinic)
        assert not is_kept(owner, key)
    assert len(clinic.paul.gets("/consultations/my", expect=200).json()["items"]) == 1


def test_forgotten_key_of_a_prescription_answers_expired_with_location(
    clinic: Clinic, owner: psycopg.Connection
) -> None:
    consultation, other, key = held_consultation(clinic), held_consultation(clinic), fresh_key()
    first = clinic.dora.prescribes(consultation, key=key, expect=201)
    age_key(owner, key, days=8)
    works(clinic)
    assert not is_kept(owner, key)
    for asked in (consultation, other):
        refused = clinic.dora.prescribes(asked, key=key, expect=409)
        assert refused.json()["code"] == EXPIRED
        assert refused.headers["location"] == first.headers["location"]


def test_refused_booking_stays_refused_when_its_reason_is_long_gone(clinic: Clinic, owner: psycopg.Connection) -> None:
    slot, key = clinic.dora.offers(), fresh_key()
    consultation = clinic.petra.has_booked(slot)
    clinic.paul.books(slot, key=key, expect=409)
    clinic.petra.cancels(consultation, expect=200)
    age_key(owner, key, days=800)
    works(clinic)
    assert is_kept(owner, key)
    assert clinic.paul.books(slot, key=key, expect=409).json()["code"] == EXPIRED
    clinic.paul.books(slot, expect=201)


def test_refused_prescription_stays_refused_when_its_reason_is_long_gone(
    clinic: Clinic, owner: psycopg.Connection
) -> None:
    consultation, key = clinic.paul.has_booked(clinic.dora.offers()), fresh_key()
    clinic.dora.prescribes(consultation, key=key, expect=409)
    clinic.dora.completes(consultation, expect=200)
    age_key(owner, key, days=800)
    works(clinic)
    assert clinic.dora.prescribes(consultation, key=key, expect=409).json()["code"] == EXPIRED


def test_key_whose_refusal_was_never_told_stays(clinic: Clinic, owner: psycopg.Connection) -> None:
    """The process died between the claim and the reason: nothing but the row knows that it was not booked."""
    slot, key = clinic.dora.offers(), fresh_key()
    consultation = clinic.petra.has_booked(slot)
    clinic.paul.books(slot, key=key, expect=409)
    owner.execute("UPDATE idempotency_keys SET outcome = NULL WHERE key = %s", [key])
    clinic.petra.cancels(consultation, expect=200)
    age_key(owner, key, days=8)
    works(clinic)
    assert clinic.paul.books(slot, key=key, expect=409).json()["code"] == EXPIRED


@pytest.mark.parametrize("is_withdrawn", [False, True])
def test_key_of_offered_slots_stays(clinic: Clinic, owner: psycopg.Connection, is_withdrawn: bool) -> None:
    """A slot does not know its key: without the row, a withdrawn slot would be offered again."""
    key, times = fresh_key(), {"starts_at": iso(some_time()), "ends_at": iso(some_time())}
    slot = clinic.dora.posts("/availability/", times, key=key, expect=201).json()
    bulk = clinic.dora.posts("/availability/bulk", {"slots": [day_later(times)]}, key=key, expect=201).json()
    if is_withdrawn:
        for offered in (slot, *bulk["items"]):
            clinic.dora.deletes(f"/availability/{offered['id']}", expect=204)
    owner.execute("UPDATE idempotency_keys SET created_at = created_at - interval '8 days' WHERE key = %s", [key])
    works(clinic)
    assert clinic.dora.posts("/availability/", times, key=key, expect=409).json()["code"] == EXPIRED
    again = clinic.dora.posts("/availability/bulk", {"slots": [day_later(times)]}, key=key, expect=409)
    assert again.json()["code"] == EXPIRED


def day_later(times: dict[str, str]) -> dict[str, str]:
    """The same times in another century."""
    return {name: time.replace("20", "21", 1) for name, time in times.items()}


def test_other_operations_under_an_equal_key_are_left_alone(clinic: Clinic, owner: psycopg.Connection) -> None:
    """Dora's prescription under a key says nothing of a booking under the same characters."""
    consultation, key = held_consultation(clinic), fresh_key()
    clinic.dora.prescribes(consultation, key=key, expect=201)
    owner.execute(
        "INSERT INTO idempotency_keys (clinic_id, user_id, operation, key, fingerprint)"
        " VALUES (%s, %s, 'book_slot', %s, 'x')",
        [clinic.id, clinic.dora.id, key],
    )
    owner.execute("UPDATE idempotency_keys SET created_at = created_at - interval '8 days' WHERE key = %s", [key])
    works(clinic)
    [row] = owner.execute("SELECT operation FROM idempotency_keys WHERE key = %s", [key]).fetchall()
    assert row == ("book_slot",)


def test_keys_of_every_clinic_go_batch_after_batch(
    clinic: Clinic, elsewhere: Clinic, owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "BATCH_ROWS", 2)
    monkeypatch.setattr(turns, "PAUSE_S", 0.001)
    keys = [fresh_key() for _ in range(7)]
    for number, key in enumerate(keys):
        here = (clinic, elsewhere)[number % 2]
        here.paul.books(here.dora.offers(), key=key, expect=201)
        age_key(owner, key, days=8)
    works(clinic)
    assert not any(is_kept(owner, key) for key in keys)


def test_key_that_is_being_replayed_is_left_for_the_next_round(
    clinic: Clinic, owner: psycopg.Connection, database_url: str
) -> None:
    replayed, other = fresh_key(), fresh_key()
    for key in (replayed, other):
        clinic.paul.books(clinic.dora.offers(), key=key, expect=201)
        age_key(owner, key, days=8)
    with held(database_url, "SELECT key FROM idempotency_keys WHERE key = %s FOR UPDATE", [replayed]):
        works(clinic)
        assert (is_kept(owner, replayed), is_kept(owner, other)) == (True, False)
    works(clinic)
    assert not is_kept(owner, replayed)


def test_reuses_while_the_key_is_forgotten_execute_nothing(clinic: Clinic, owner: psycopg.Connection) -> None:
    """The slot is open again, and the same request would get it if it were executed."""
    slot, key = clinic.dora.offers(), fresh_key()
    clinic.paul.cancels(clinic.paul.books(slot, key=key, expect=201).json(), expect=200)
    sessions = [clinic.paul.in_another_session() for _ in range(4)]
    age_key(owner, key, days=8)
    reuses = [lambda paul=paul: paul.books(slot, key=key, expect=409) for paul in sessions for _ in range(3)]
    outcomes = at_once([*reuses, lambda: works(clinic), lambda: works(clinic)])
    assert {answer.json()["code"] for answer in outcomes if answer is not None} == {EXPIRED}
    clinic.petra.books(slot, expect=201)
