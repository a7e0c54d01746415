"""What the people of the town send: whole requests, as bytes."""

import json
import random
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from app.bench import loading
from app.bench import town as towns
from app.bench.requests import Request
from app.bench.town import CLINIC_ID, Town
from app.identity.rules import Principal
from app.identity.tokens import AccessTokens

# Longer than any run.
TOKEN_LIFETIME = timedelta(hours=2)
PASSWORD = "correct horse battery staple"  # noqa: S105 - of patients that arithmetic made
PAGE = 50
# Who only reads is one of so many: a token costs us more to make than a request to send.
READERS = 10_000
_SESSION = UUID("00000000-0000-7000-8e00-000000000001")


class TownIsSoldOut(Exception):
    """More was booked than the town has free slots; what follows would measure refusals."""


class Traffic:
    """Makes requests of a town's people. `rng` is seeded: two runs send the same."""

    def __init__(self, town: Town, *, secret_key: str, seed: int = 1) -> None:
        self.town = town
        self.rng = random.Random(seed)  # noqa: S311 - load, not a secret
        self._tokens = AccessTokens(secret_key, "HS256", TOKEN_LIFETIME)
        self._heads: dict[UUID, bytes] = {}
        # The next number of `Town.wish`: a slot is wanted once in all runs together.
        self.next_wish = 0
        self._given_back: deque[int] = deque()
        # The next of the loaded, scheduled consultations to be completed or cancelled.
        self._next_scheduled = 0

    def take_fresh(self, count: int) -> int:
        """Set wishes apart that nobody has had; the number of the first. Raises `TownIsSoldOut`."""
        first = self.next_wish
        if first + count > self.town.wishes:
            raise TownIsSoldOut(f"{self.town.wishes:,} slots were free in this town; {count:,} more were wanted")
        self.next_wish += count
        return first

    @property
    def wishes_left(self) -> int:
        """How many more bookings can be made."""
        return self.town.wishes - self.next_wish + len(self._given_back)

    def take(self, count: int) -> list[int]:
        """Set wishes apart, those first that were given back. Raises `TownIsSoldOut`."""
        used_again = [self._given_back.popleft() for _ in range(min(count, len(self._given_back)))]
        first = self.take_fresh(count - len(used_again))
        return used_again + list(range(first, self.next_wish))

    def give_back(self, wishes: Iterable[int]) -> None:
        """These were not sent, or refused before anything was done: their slots are free, their keys unused."""
        self._given_back.extend(wishes)

    def bookings(self, count: int) -> Iterator[Request]:
        """Bookings of slots that nobody else wants, each under a fresh key."""
        return map(self.wished, self.take(count))

    def wished(self, number: int) -> Request:
        """The booking of this wish."""
        patient, slot = self.town.wish(number)
        request = self.booking(patient, slot, key=f"bench-{number:09}")
        request.wish = number
        return request

    def booking(self, patient: int, slot: int, *, key: str) -> Request:
        """A patient's wish for a slot."""
        body = b'{"slot_id": %d}' % slot
        return Request(
            "booking",
            b"POST /bookings/ HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nIdempotency-Key: %s\r\n"
            b"%sContent-Length: %d\r\n\r\n%s" % (key.encode(), self._head(patient, "patient"), len(body), body),
        )

    def searches(self, count: int) -> Iterator[Request]:
        """Pages of 50 open slots of a doctor who has that many."""
        for _ in range(count):
            yield self.search(self.rng.randrange(self.town.popular_doctors, self.town.doctors))

    def search(self, doctor: int) -> Request:
        """A page of a doctor's open slots, asked for by somebody."""
        return self.get("search", f"/availability/?doctor_id={towns.doctor_id(doctor)}&limit={PAGE}")

    def get(self, kind: str, path: str, *, patient: int | None = None) -> Request:
        """A patient reads something."""
        who = self.rng.randrange(min(READERS, self.town.patients)) if patient is None else patient
        return Request(kind, b"GET %s HTTP/1.1\r\nHost: bench\r\n%s\r\n" % (path.encode(), self._head(who, "patient")))

    def health(self, count: int) -> Iterator[Request]:
        """The clinic's bare endpoint: no token, no database."""
        for _ in range(count):
            yield Request("live", b"GET /health/live HTTP/1.1\r\nHost: bench\r\n\r\n")

    def bare(self, count: int) -> Iterator[Request]:
        """The one endpoint of an application that does nothing."""
        for _ in range(count):
            yield Request("bare", b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")

    def cancellation(self) -> Request:
        """A patient calls off the next scheduled consultation."""
        number = self._take_scheduled()
        return self._status("cancel", self.town.held(number).patient, "patient", number, "cancelled")

    def completion(self) -> Request:
        """A doctor completes the next scheduled consultation."""
        number = self._take_scheduled()
        return self._status("complete", self.town.held(number).doctor, "doctor", number, "completed")

    def login(self, patient: int) -> Request:
        """A patient logs in with the right password."""
        body = json.dumps({"email": loading.email_of_patient(patient), "password": PASSWORD}).encode()
        return Request(
            "login",
            b"POST /auth/login HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body),
        )

    def opening(self, doctor: int, slots: list[tuple[datetime, datetime]]) -> Request:
        """A doctor opens these slots."""
        times = [{"starts_at": begin.isoformat(), "ends_at": end.isoformat()} for begin, end in slots]
        body = json.dumps({"slots": times}).encode()
        return Request(
            "opening",
            b"POST /availability/bulk HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n%s"
            b"Content-Length: %d\r\n\r\n%s" % (self._head(doctor, "doctor"), len(body), body),
        )

    def _take_scheduled(self) -> int:
        """Neighbours have one doctor, so that they are taken far apart."""
        if self._next_scheduled >= self.town.scheduled:
            raise TownIsSoldOut("no scheduled consultation is left to complete or cancel")
        number = self.town.past + self._next_scheduled * towns.STRIDE % self.town.scheduled
        self._next_scheduled += 1
        return number

    def _status(self, kind: str, who: int, role: str, consultation: int, status: str) -> Request:
        body = json.dumps({"status": status}).encode()
        return Request(
            kind,
            b"PATCH /consultations/%s/status HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n%s"
            b"Content-Length: %d\r\n\r\n%s"
            % (str(towns.consultation_id(consultation)).encode(), self._head(who, role), len(body), body),
        )

    def _head(self, number: int, role: str) -> bytes:
        id_ = towns.doctor_id(number) if role == "doctor" else towns.patient_id(number)
        if id_ not in self._heads:
            principal = Principal(CLINIC_ID, id_, role, _SESSION, 1)
            token = self._tokens.issue(principal, now=datetime.now(UTC))
            self._heads[id_] = b"Authorization: Bearer %s\r\n" % token.encode()
        return self._heads[id_]


def secret_of(data_dir: Path) -> str:
    """The secret that `telemed serve` made for this data folder."""
    return (data_dir / "secret_key").read_text().strip()
