"""The contract's rules of booking once more, in plain Python: who asks for what, and what they must be told.

Written from the contract and with nothing of `app`, so that a mistake has to be made twice to be missed. Times are
whole minutes; people are names.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

ROLES = {"amara": "admin", "dora": "doctor", "dev": "doctor", "paul": "patient", "petra": "patient", "pia": "patient"}
# How many consultations a patient may have ahead: few, so that the limit is met often.
AHEAD_MAX = 2
SHORTEST, LONGEST = 5, 12 * 60

MAY = {
    "offer": {"doctor"},
    "offer_bulk": {"doctor"},
    "withdraw": {"doctor", "admin"},
    "book": {"patient"},
    "change": {"patient", "doctor", "admin"},
    "prescribe": {"doctor"},
}
DONE = {"offer": 201, "offer_bulk": 201, "withdraw": 204, "book": 201, "change": 200, "prescribe": 201}
STATUS_OF = {
    "validation_error": 422, "idempotency_key_reused": 422, "idempotency_key_expired": 409, "forbidden": 403,
    "not_found": 404, "slot_not_found": 404, "slot_overlap": 409, "slot_booked": 409, "slot_already_yours": 409,
    "slot_unavailable": 409, "patient_overlap": 409, "booking_limit_reached": 409, "invalid_transition": 409,
    "too_late": 409, "consultation_not_completed": 409, "prescription_exists": 409,
}  # fmt: skip
# All that can be told of each deed; a comparison that has not met them all has not tried enough.
VERDICTS = [
    f"{operation}: {verdict}"
    for operation, verdicts in {
        "offer": "done again forbidden validation_error slot_overlap idempotency_key_reused idempotency_key_expired",
        "offer_bulk": "done again forbidden validation_error slot_overlap idempotency_key_reused "
        "idempotency_key_expired",
        "withdraw": "done forbidden not_found slot_booked",
        "book": "done again forbidden slot_not_found slot_already_yours slot_unavailable patient_overlap "
        "booking_limit_reached idempotency_key_reused idempotency_key_expired",
        "change": "done forbidden not_found invalid_transition too_late",
        "prescribe": "done again forbidden not_found consultation_not_completed prescription_exists "
        "idempotency_key_reused idempotency_key_expired",
    }.items()
    for verdict in verdicts.split()
]
# Rule 8 of *Booking*: what is never stored under a key.
NEVER_KEPT = {"validation_error", "forbidden", "idempotency_key_reused", "idempotency_key_expired"}


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody asks for: the body is what is sent, `target` the id in the path."""

    person: str
    operation: str
    body: Any = None
    key: str | None = None
    target: Any = None

    @property
    def role(self) -> str:
        return ROLES[self.person]

    @property
    def scope(self) -> tuple[str, str, str | None]:
        return self.person, self.operation, self.key


@dataclass(slots=True)
class Told:
    """What the first to use a key was told."""

    body: Any
    status: int
    code: str | None
    content: bytes
    location: str | None
    is_old: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What must be told. Without a code it is done; `again` is what was told under this key before."""

    status: int
    code: str | None = None
    location: str | None = None
    again: Told | None = None


@dataclass(slots=True)
class Slot:
    id: int
    doctor: str
    starts: int
    ends: int
    status: str = "open"

    def view(self) -> dict[str, Any]:
        times = {"starts_at": self.starts, "ends_at": self.ends}
        return {"id": self.id, "doctor_id": self.doctor, **times, "status": self.status}


@dataclass(slots=True)
class Consultation:
    id: str
    slot: Slot
    patient: str
    created_at: str
    status: str = "scheduled"
    marks: dict[str, Any] = field(default_factory=lambda: dict.fromkeys(("completed_at", "cancelled_at")))
    reason: str | None = None

    def view(self) -> dict[str, Any]:
        seen = {**self.slot.view(), "id": self.id, "slot_id": self.slot.id, "patient_id": self.patient, **self.marks}
        return {**seen, "status": self.status, "created_at": self.created_at, "cancel_reason": self.reason}


@dataclass(frozen=True, slots=True)
class Prescription:
    id: str
    consultation: Consultation
    view: dict[str, Any]


class Rulebook:
    """A clinic as it must be. `minute_of` reads a time of a body."""

    def __init__(self, minute_of: Callable[[str], int]) -> None:
        self.minute_of = minute_of
        self.now = 0
        self.away: set[str] = set()
        self.slots: dict[int, Slot] = {}
        self.consultations: dict[str, Consultation] = {}
        self.prescriptions: dict[str, Prescription] = {}
        self.told: dict[tuple[str, str, str | None], Told] = {}
        # State changes: each leaves one audit row.
        self.changes: Counter[str] = Counter()

    def judge(self, deed: Deed) -> Verdict:
        """What the contract wants to be told, before it is asked."""
        if deed.role not in MAY[deed.operation]:
            return refused("forbidden")
        rules = {
            "offer": self._judge_offer, "offer_bulk": self._judge_offer, "withdraw": self._judge_withdrawal,
            "book": self._judge_booking, "change": self._judge_change, "prescribe": self._judge_prescription,
        }  # fmt: skip
        return rules[deed.operation](deed)

    def note(self, deed: Deed, verdict: Verdict, seen: Any, *, content: bytes, location: str | None) -> None:
        """What was told is remembered under the key, and what was done is done; `seen` is the answer."""
        if verdict.again is not None or verdict.code in NEVER_KEPT:
            return
        if deed.key is not None:
            self.told[deed.scope] = Told(deed.body, verdict.status, verdict.code, content, location)
        if verdict.code is not None:
            return
        effects = {
            "offer": self._offer, "offer_bulk": self._offer, "withdraw": self._withdraw,
            "book": self._book, "change": self._change, "prescribe": self._prescribe,
        }  # fmt: skip
        effects[deed.operation](deed, seen)

    def as_done(self, deed: Deed, seen: Any) -> tuple[Any, str | None]:
        """What must be answered to a deed that was done and noted, and the address of what it made."""
        if deed.operation == "withdraw":
            return None, None
        if deed.operation == "change":
            return self.consultations[deed.target].view(), None
        if deed.operation == "book":
            return self.consultations[seen["id"]].view(), f"/consultations/{seen['id']}"
        if deed.operation == "prescribe":
            return self.prescriptions[seen["id"]].view, f"/prescriptions/{seen['id']}"
        if deed.operation == "offer":
            return self.slots[seen["id"]].view(), None
        return {"items": [self.slots[slot["id"]].view() for slot in seen["items"]]}, None

    def open_slots(self) -> list[Any]:
        """What a search finds that asks for nothing in particular."""
        return self.slots_of(status="open", since=self.now)

    def slots_of(self, *, status: str, since: int, doctor: str | None = None) -> list[Any]:
        """By their start; open ones of active doctors only."""
        found = [
            slot
            for slot in self.slots.values()
            if slot.status == status
            and slot.starts >= since
            and (status != "open" or slot.doctor not in self.away)
            and doctor in (None, slot.doctor)
        ]
        return [slot.view() for slot in sorted(found, key=lambda slot: (slot.starts, slot.id))]

    def consultations_of(self, person: str) -> list[Any]:
        """Newest start first; an admin has all."""
        found = [one for one in self.consultations.values() if self.is_concerned(person, one)]
        return [one.view() for one in sorted(found, key=lambda one: (one.slot.starts, one.id), reverse=True)]

    def prescriptions_of(self, person: str) -> list[Any]:
        """Newest first; an admin has none."""
        people = [(p, p.consultation.patient, p.consultation.slot.doctor) for p in self.prescriptions.values()]
        return [prescription.view for prescription, *concerned in people if person in concerned][::-1]

    def is_concerned(self, person: str, consultation: Consultation) -> bool:
        return ROLES[person] == "admin" or person in (consultation.patient, consultation.slot.doctor)

    # ── What must be told ──

    def _judge_offer(self, deed: Deed) -> Verdict:
        wished = self._wished(deed)
        if any(not SHORTEST <= ends - starts <= LONGEST for starts, ends in wished):
            return refused("validation_error")
        if (again := self._by_key(deed)) is not None:
            return again
        if any(starts <= self.now for starts, _ in wished):
            return refused("validation_error")
        taken = [(slot.starts, slot.ends) for slot in self.slots.values() if self._is_taken(slot, deed.person)]
        for starts, ends in wished:
            if any(starts < other_ends and other_starts < ends for other_starts, other_ends in taken):
                return refused("slot_overlap")
            taken.append((starts, ends))
        return Verdict(DONE[deed.operation])

    def _judge_withdrawal(self, deed: Deed) -> Verdict:
        slot = self.slots.get(deed.target)
        if slot is None or slot.status == "withdrawn" or (deed.role == "doctor" and slot.doctor != deed.person):
            return refused("not_found")
        return refused("slot_booked") if slot.status == "booked" else Verdict(204)

    def _judge_booking(self, deed: Deed) -> Verdict:
        if (again := self._by_key(deed)) is not None:
            return again
        slot = self.slots.get(deed.body["slot_id"])
        if slot is None or slot.status == "withdrawn":
            return refused("slot_not_found")
        own = [one for one in self.consultations.values() if one.patient == deed.person]
        for one in own:
            if one.slot is slot and one.status != "cancelled":
                return refused("slot_already_yours", location=f"/consultations/{one.id}")
        if slot.status == "booked" or slot.starts <= self.now or slot.doctor in self.away:
            return refused("slot_unavailable")
        scheduled = [one.slot for one in own if one.status == "scheduled"]
        if any(slot.starts < other.ends and other.starts < slot.ends for other in scheduled):
            return refused("patient_overlap")
        if sum(other.starts > self.now for other in scheduled) >= AHEAD_MAX:
            return refused("booking_limit_reached")
        return Verdict(201)

    def _judge_change(self, deed: Deed) -> Verdict:
        consultation, after = self.consultations.get(deed.target), deed.body["status"]
        if consultation is None or not self.is_concerned(deed.person, consultation):
            return refused("not_found")
        if consultation.status == after:
            return Verdict(200)
        if consultation.status != "scheduled" or after == "scheduled":
            return refused("invalid_transition")
        if after == "completed" and deed.role != "doctor":
            return refused("forbidden")
        if deed.role == "patient" and consultation.slot.starts <= self.now:
            return refused("too_late")
        return Verdict(200)

    def _judge_prescription(self, deed: Deed) -> Verdict:
        if (again := self._by_key(deed)) is not None:
            return again
        consultation = self.consultations.get(deed.body["consultation_id"])
        if consultation is None or consultation.slot.doctor != deed.person:
            return refused("not_found")
        if any(prescription.consultation is consultation for prescription in self.prescriptions.values()):
            return refused("prescription_exists")
        return refused("consultation_not_completed") if consultation.status != "completed" else Verdict(201)

    def _by_key(self, deed: Deed) -> Verdict | None:
        """Rules 4, 5, 7 and 10 of *Booking*."""
        if deed.key is None or (told := self.told.get(deed.scope)) is None:
            return None
        if told.body != deed.body:
            return refused("idempotency_key_reused")
        if told.is_old:
            return refused("idempotency_key_expired", location=told.location if told.code is None else None)
        return Verdict(told.status, told.code, told.location, again=told)

    def _is_taken(self, slot: Slot, doctor: str) -> bool:
        return slot.doctor == doctor and slot.status != "withdrawn"

    def _wished(self, deed: Deed) -> list[tuple[int, int]]:
        bodies = deed.body["slots"] if deed.operation == "offer_bulk" else [deed.body]
        return [(self.minute_of(body["starts_at"]), self.minute_of(body["ends_at"])) for body in bodies]

    # ── What is done ──

    def _offer(self, deed: Deed, seen: Any) -> None:
        answered = seen["items"] if deed.operation == "offer_bulk" else [seen]
        for (starts, ends), answer in zip(self._wished(deed), answered, strict=True):
            self.slots[answer["id"]] = Slot(answer["id"], deed.person, starts, ends)
            self.changes["slot.created"] += 1

    def _withdraw(self, deed: Deed, _: Any) -> None:
        self.slots[deed.target].status = "withdrawn"
        self.changes["slot.withdrawn"] += 1

    def _book(self, deed: Deed, seen: Any) -> None:
        slot = self.slots[deed.body["slot_id"]]
        slot.status = "booked"
        self.consultations[seen["id"]] = Consultation(seen["id"], slot, deed.person, seen["created_at"])
        self.changes["consultation.booked"] += 1

    def _change(self, deed: Deed, seen: Any) -> None:
        consultation, after = self.consultations[deed.target], deed.body["status"]
        if consultation.status == after:
            return
        consultation.status = after
        consultation.marks[f"{after}_at"] = seen[f"{after}_at"] or "never"
        if after == "cancelled":
            consultation.reason = deed.body.get("reason")
            if consultation.slot.starts > self.now:
                consultation.slot.status = "open"
        self.changes[f"consultation.{after}"] += 1

    def _prescribe(self, deed: Deed, seen: Any) -> None:
        consultation = self.consultations[deed.body["consultation_id"]]
        people = {"doctor_id": deed.person, "patient_id": consultation.patient}
        items = [{"instructions": None, **item} for item in deed.body["items"]]
        view = {
            "id": seen["id"], "created_at": seen["created_at"], "consultation_id": consultation.id, **people,
            "items": items, "notes": deed.body.get("notes"),
        }  # fmt: skip
        self.prescriptions[seen["id"]] = Prescription(seen["id"], consultation, view)
        self.changes["prescription.created"] += 1


def refused(code: str, *, location: str | None = None) -> Verdict:
    return Verdict(STATUS_OF[code], code, location)
