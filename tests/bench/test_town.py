"""The town is arithmetic: here it is compared with itself, told in three languages."""

import re

import pytest

from app.bench.scale import FULL, QUICK
from app.bench.town import SLOTS_OF_DOCTOR, Town

SMALL = Town(slots=12_000, patients=1_000, consultations=3_000)
TOWNS = [SMALL, QUICK.town, *map(QUICK.grown_town, QUICK.growth_slots)]


@pytest.mark.parametrize("town", TOWNS)
def test_no_two_wishes_want_one_slot(town: Town) -> None:
    slots = [town.wish(number)[1] for number in range(town.wishes)]
    assert len(set(slots)) == len(slots) == town.wishes


@pytest.mark.parametrize("town", TOWNS)
def test_no_patient_wants_two_slots_at_one_time(town: Town) -> None:
    wishes = [town.wish(number) for number in range(town.wishes)]
    times = {(patient, (slot - 1) % SLOTS_OF_DOCTOR) for patient, slot in wishes}
    assert len(times) == town.wishes


@pytest.mark.parametrize("town", TOWNS)
def test_wishes_and_what_is_booked_ahead_never_meet(town: Town) -> None:
    """Neither in a slot nor in a patient: no measured booking is refused for what was loaded."""
    wishes = [town.wish(number) for number in range(town.wishes)]
    held = [town.held(town.past + number) for number in range(town.scheduled)]
    assert not {slot for _, slot in wishes} & {one.doctor * SLOTS_OF_DOCTOR + one.position + 1 for one in held}
    assert not {patient for patient, _ in wishes} & {one.patient for one in held}


@pytest.mark.parametrize("town", TOWNS)
def test_what_is_held_has_a_slot_and_a_patient_of_its_own(town: Town) -> None:
    held = [town.held(number) for number in range(town.past + town.scheduled)]
    assert {one.number for one in held} == set(range(len(held)))
    assert len({(one.doctor, one.position) for one in held}) == len(held)
    ahead = [one for one in held if one.status == "scheduled"]
    assert len({(one.patient, one.position) for one in ahead}) == len(ahead) == town.scheduled
    assert len(held) == pytest.approx(town.consultations, rel=0.02)


@pytest.mark.parametrize("town", [*TOWNS, FULL.town])
def test_pgbench_wants_the_same(town: Town) -> None:
    """Its language has whole numbers only, so that `/` rounds down as `//` does."""
    for number in (0, 1, 17, town.wave - 1, town.wave, town.wishes - 1, town.wishes + 5):
        values: dict[str, int] = {"number": number}
        for name, expression in re.findall(r"\\set (\w+) (.+)", town.wish_in_pgbench()):
            python = re.sub(r":(\w+)", r"\1", expression).replace("/", "//")
            values[name] = eval(python, {}, values)
        assert (values["patient"], values["slot"]) == town.wish(number)


def test_popularity_follows_zipf() -> None:
    chosen = [SMALL.doctor_by_popularity(chance / 10_000) for chance in range(10_000)]
    counts = [chosen.count(doctor) for doctor in range(SMALL.doctors)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] / counts[9] == pytest.approx(10**0.8, rel=0.05)
