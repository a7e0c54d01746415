"""The town that is measured: who lives there, when its doctors work, and which slot the n-th booking wants.

Everything follows from arithmetic, so that pgbench can ask for the same patients and slots as the HTTP clients do.
"""

from bisect import bisect
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import accumulate
from uuid import UUID

CLINIC_ID = 1
SLOT_LENGTH = timedelta(minutes=30)
SLOTS_A_DAY = 16
DAYS_PAST, DAYS_AHEAD = 10, 15
SLOTS_PAST, SLOTS_AHEAD = DAYS_PAST * SLOTS_A_DAY, DAYS_AHEAD * SLOTS_A_DAY
SLOTS_OF_DOCTOR = SLOTS_PAST + SLOTS_AHEAD
# The first fifth by popularity is booked ahead; the others' coming slots are free, and the measured bookings take them.
POPULAR_SHARE = 5
# Four in five consultations lie in the past.
CONSULTATIONS_PER_SCHEDULED = 5
# A doctor's rank r is chosen with weight r^-s.
ZIPF_EXPONENT = 0.8
# Ids are UUIDs of version 7, as the application makes them: the table of a year's registrations.
_FIRST_MS, _EVERY_MS = 1_735_689_600_000, 157_000
# A prime that divides no number of wishes here: neighbours in time want slots far apart.
STRIDE = 1_000_003
# One in ten of the past consultations was called off in time.
CANCELLED_EVERY = 10
# Spread what is taken over the day and the days, and over the patients.
_SPREAD, _SPREAD_PATIENTS = 67, 7919
SPECIALTIES = (
    "General medicine",
    "Cardiology",
    "Dermatology",
    "Paediatrics",
    "Psychiatry",
    "Neurology",
    "Orthopaedics",
)


@dataclass(frozen=True, slots=True)
class Held:
    """A consultation that is there from the beginning."""

    number: int
    doctor: int
    position: int
    patient: int
    status: str


@dataclass(frozen=True)
class Town:
    """A town with so many slots in all; a growing platform gains doctors, not longer days."""

    slots: int = 2_000_000
    patients: int = 200_000
    consultations: int = 500_000
    # Midnight of the first day that has slots ahead.
    tomorrow: datetime = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)

    @property
    def doctors(self) -> int:
        return self.slots // SLOTS_OF_DOCTOR

    @property
    def popular_doctors(self) -> int:
        return self.doctors // POPULAR_SHARE

    @property
    def free_doctors(self) -> int:
        """How many have nothing but open slots ahead."""
        return self.doctors - self.popular_doctors

    def starts_at(self, position: int) -> datetime:
        """When the slot at this position of a doctor's list begins."""
        day, of_day = divmod(position, SLOTS_A_DAY)
        day -= DAYS_PAST
        # Yesterday's and earlier ones lie one day further back, so that none begins while we measure.
        return self.tomorrow + timedelta(days=day if day >= 0 else day - 1, hours=8) + of_day * SLOT_LENGTH

    @cached_property
    def _popularity(self) -> list[float]:
        return list(accumulate((rank + 1) ** -ZIPF_EXPONENT for rank in range(self.doctors)))

    def doctor_by_popularity(self, chance: float) -> int:
        """The doctor whom somebody asks for; `chance` is in [0, 1)."""
        return bisect(self._popularity, chance * self._popularity[-1])

    @cached_property
    def _times_per_wave(self) -> int:
        # In a wave each patient books once, so that no booking ever overlaps another one of the same patient.
        fitting = [n for n in (20, 16, 12, 10, 8, 6, 5, 4, 3, 2, 1) if n * self.free_doctors <= self.patients // 2]
        return fitting[0]

    @property
    def wave(self) -> int:
        """How many bookings are made before a patient comes a second time."""
        return self._times_per_wave * self.free_doctors

    @property
    def wishes(self) -> int:
        """How many open slots there are for measured bookings."""
        return SLOTS_AHEAD // self._times_per_wave * self.wave

    def wish(self, number: int) -> tuple[int, int]:
        """The (patient, slot id) of a booking. Patients with consultations ahead are in the first half only."""
        wave, of_wave = divmod(number % self.wishes, self.wave)
        at = of_wave * STRIDE % self.wave
        time, doctor = divmod(at, self.free_doctors)
        position = SLOTS_PAST + wave * self._times_per_wave + time
        return self.patients // 2 + of_wave, slot_id(self.popular_doctors + doctor, position)

    @cached_property
    def _past_ends(self) -> list[int]:
        """Where each doctor's past consultations end in the list of all."""
        total = self.consultations - self.consultations // CONSULTATIONS_PER_SCHEDULED
        return list(accumulate(_shares(self.doctors, total, SLOTS_PAST)))

    @cached_property
    def _ahead_ends(self) -> list[int]:
        total = self.consultations // CONSULTATIONS_PER_SCHEDULED
        return list(accumulate(_shares(self.popular_doctors, total, SLOTS_AHEAD)))

    @property
    def past(self) -> int:
        """How many consultations are over; the numbers of the scheduled ones begin here."""
        return self._past_ends[-1]

    @property
    def scheduled(self) -> int:
        """How many consultations lie ahead."""
        return self._ahead_ends[-1]

    def held(self, number: int) -> Held:
        """Consultation `number`. Those ahead are with popular doctors and patients of the first half."""
        if number < self.past:
            doctor = bisect(self._past_ends, number)
            turn = number - (self._past_ends[doctor - 1] if doctor else 0)
            status = "cancelled" if number % CANCELLED_EVERY == 0 else "completed"
            return Held(number, doctor, turn * _SPREAD % SLOTS_PAST, number * _SPREAD_PATIENTS % self.patients, status)
        ahead = number - self.past
        doctor = bisect(self._ahead_ends, ahead)
        turn = ahead - (self._ahead_ends[doctor - 1] if doctor else 0)
        position = SLOTS_PAST + turn * _SPREAD % SLOTS_AHEAD
        # One time has fewer doctors than patients: nobody is with two at once.
        patient = (position * self.popular_doctors + doctor) % (self.patients // 2)
        return Held(number, doctor, position, patient, "scheduled")

    def wish_in_pgbench(self) -> str:
        """The same arithmetic in pgbench's language: sets `patient` and `slot` from `number`."""
        return f"""
\\set wave (:number % {self.wishes}) / {self.wave}
\\set of_wave :number % {self.wave}
\\set at (:of_wave * {STRIDE}) % {self.wave}
\\set patient {self.patients // 2} + :of_wave
\\set position {SLOTS_PAST} + :wave * {self._times_per_wave} + :at / {self.free_doctors}
\\set slot ({self.popular_doctors} + :at % {self.free_doctors}) * {SLOTS_OF_DOCTOR} + :position + 1
"""


def _shares(doctors: int, total: int, most: int) -> list[int]:
    """`total` consultations among doctors by popularity, none with more than there are slots."""
    weights = [(rank + 1) ** -ZIPF_EXPONENT for rank in range(doctors)]
    low, high = 0.0, float(total) * doctors
    for _ in range(60):
        factor = (low + high) / 2
        if sum(min(most, int(factor * weight)) for weight in weights) < total:
            low = factor
        else:
            high = factor
    return [min(most, int(high * weight)) for weight in weights]


def slot_id(doctor: int, position: int) -> int:
    """The id of a doctor's slot."""
    return doctor * SLOTS_OF_DOCTOR + position + 1


def doctor_id(number: int) -> UUID:
    """The id of a doctor."""
    return _id(0xD0C, number)


def patient_id(number: int) -> UUID:
    """The id of a patient."""
    return _id(0xA71, number)


def consultation_id(number: int) -> UUID:
    """The id of a consultation that is there from the beginning."""
    return _id(0xC05, number)


def _id(kind: int, number: int) -> UUID:
    return UUID(f"{_FIRST_MS + number * _EVERY_MS:012x}7{kind:03x}8000{number:012x}")


def id_in_sql(kind: str, number: str) -> str:
    """The same arithmetic in SQL: the id of a doctor or a patient; `number` is an expression."""
    digits = {"doctor": "d0c", "patient": "a71"}[kind]
    at = f"lpad(to_hex({_FIRST_MS} + ({number})::bigint * {_EVERY_MS}), 12, '0')"
    return f"({at} || '7{digits}8000' || lpad(to_hex(({number})::bigint), 12, '0'))::uuid"


ADMIN_ID = _id(0xADA, 1)
