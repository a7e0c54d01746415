"""What may happen next in a clinic, drawn from what is there."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from tests.booking.rulebook import ROLES, Deed
from tests.cast import prescription_for

if TYPE_CHECKING:
    from tests.booking.machine import Machine

# Minutes: what is drawn begins on tens.
GRID = 10
ABSENT_SLOT = 2**63 - 1
FRESH = "fresh"

people = st.sampled_from(sorted(ROLES))
doctors = st.sampled_from(["dora", "dev"])
patients = st.sampled_from(["paul", "petra", "pia"])
# Few keys that meet again, and fresh ones.
keys = st.sampled_from([FRESH, FRESH, FRESH, "the-first-key", "the-second-key"])
places = st.integers(0, 7).map(GRID.__mul__)
lengths = st.sampled_from([10, 20, 30, 40, 5])
# Most are slots; some are too short, too long, or in the past.
intervals = st.sampled_from([*["fine"] * 6, "odd", "past"]).flatmap(
    lambda kind: st.tuples(
        st.just(-GRID) if kind == "past" else places,
        st.sampled_from([4, 0, -GRID, 720, 721]) if kind == "odd" else lengths,
    )
)


@dataclass(frozen=True, slots=True)
class Look:
    person: str
    status: str
    doctor: str | None
    limit: int


@dataclass(frozen=True, slots=True)
class Happening:
    what: str
    tens: int = 0


def whatever(machine: "Machine") -> st.SearchStrategy[Deed | Look | Happening]:
    """One thing, the more often the further it leads."""
    kinds = [
        kind
        for kind, weight in _WEIGHTS.items()
        for _ in range(weight)
        if machine.rules.consultations or kind not in _NEED_CONSULTATIONS
    ]
    return st.sampled_from(kinds).flatmap(lambda kind: kind(machine))


def _offers(machine: "Machine") -> st.SearchStrategy[Any]:
    body = intervals.map(lambda wished: machine.interval(*wished))
    return st.builds(Deed, doctors, st.just("offer"), body, st.none() | keys)


def _offers_several(machine: "Machine") -> st.SearchStrategy[Any]:
    several = st.lists(intervals, min_size=1, max_size=3)
    body = several.map(lambda wished: {"slots": [machine.interval(*interval) for interval in wished]})
    return st.builds(Deed, doctors, st.just("offer_bulk"), body, st.none() | keys)


def _withdraws(machine: "Machine") -> st.SearchStrategy[Any]:
    def of(slot: Any) -> st.SearchStrategy[Deed]:
        person = st.sampled_from([slot.doctor, slot.doctor, *ROLES])
        return st.builds(Deed, person, st.just("withdraw"), target=st.just(slot.id))

    return st.sampled_from(list(machine.rules.slots.values())).flatmap(of)


def _books(machine: "Machine") -> st.SearchStrategy[Any]:
    """Mostly what is open or has been open not long ago."""
    slots = [slot.id for slot in machine.rules.slots.values() if slot.status != "withdrawn"]
    slot = st.sampled_from([*slots, *slots, *machine.rules.slots, ABSENT_SLOT])
    return st.builds(Deed, patients, st.just("book"), slot.map(lambda id: {"slot_id": id}), keys)


def _changes(machine: "Machine") -> st.SearchStrategy[Any]:
    def of(consultation: Any) -> st.SearchStrategy[Deed]:
        concerned = [consultation.slot.doctor, consultation.patient]
        person = st.sampled_from([*concerned, *concerned, *concerned, *ROLES])
        status = st.sampled_from(["cancelled", "completed", "cancelled", "completed", "scheduled"])
        body = st.builds(dict, status=status) | st.builds(dict, status=status, reason=st.just("It rains"))
        return st.builds(Deed, person, st.just("change"), body, target=st.just(consultation.id))

    consultations = list(machine.rules.consultations.values())
    scheduled = [one for one in consultations if one.status == "scheduled"]
    return st.sampled_from([*consultations, *scheduled * 2]).flatmap(of)


def _prescribes(machine: "Machine") -> st.SearchStrategy[Any]:
    def of(consultation: Any) -> st.SearchStrategy[Deed]:
        doctor = st.sampled_from([consultation.slot.doctor] * 5 + ["dora", "dev"])
        body = prescription_for(consultation.id)
        bodies = st.sampled_from([body, {**body, "notes": "With food"}])
        return st.builds(Deed, doctor, st.just("prescribe"), bodies, keys)

    consultations = list(machine.rules.consultations.values())
    completed = [one for one in consultations if one.status == "completed"]
    return st.sampled_from([*consultations, *completed * 3]).flatmap(of)


def _asks_again(machine: "Machine") -> st.SearchStrategy[Any]:
    return st.sampled_from(machine.keyed)


def _confuses(machine: "Machine") -> st.SearchStrategy[Any]:
    """A key of one's own for what was wished elsewhere, or what somebody else did."""

    def of(deed: Deed) -> st.SearchStrategy[Deed]:
        bodies = [other.body for other in machine.keyed if other.operation == deed.operation]
        return st.builds(replace, st.just(deed), body=st.sampled_from(bodies)) | st.builds(
            replace, st.just(deed), person=people
        )

    return st.sampled_from(machine.keyed).flatmap(of)


def _looks(_: "Machine") -> st.SearchStrategy[Any]:
    return st.builds(Look, people, st.sampled_from(["open", "booked"]), st.none() | doctors, st.integers(1, 9))


def _passes(_: "Machine") -> st.SearchStrategy[Any]:
    return st.builds(Happening, st.just("time passes"), st.integers(1, 3))


def _is_rare(_: "Machine") -> st.SearchStrategy[Any]:
    names = ["a week passes for keys", "dev comes or goes", "dora comes or goes"]
    return st.builds(Happening, st.sampled_from(names))


# What can happen, and how often for each time that a rare thing does.
_WEIGHTS = {
    _books: 10, _changes: 8, _prescribes: 5, _asks_again: 4, _confuses: 4, _offers: 3, _offers_several: 2,
    _withdraws: 2, _passes: 4, _looks: 2, _is_rare: 1,
}  # fmt: skip
_NEED_CONSULTATIONS = {_changes, _prescribes}
