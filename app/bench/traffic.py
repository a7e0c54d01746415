"""What the people of the town send: whole requests, as bytes."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from app.bench import loading, town as towns
from app.bench.generator import Request
from app.bench.town import CLINIC_ID, Town
from app.identity.rules import Principal
from app.identity.tokens import AccessTokens

# Longer than any run.
TOKEN_LIFETIME = timedelta(hours=2)
PASSWORD = "correct horse battery staple"
PAGE = 50
_SESSION = UUID("00000000-0000-7000-8e00-000000000001")


class Traffic:
    """Makes requests of a town's people. `rng` is seeded: two runs send the same."""

    def __init__(self, town: Town, *, secret_key: str, seed: int = 1) -> None:
        self.town = town
        self.rng = random.Random(seed)  # noqa: S311 - load, not a secret
        self._tokens = AccessTokens(secret_key, "HS256", TOKEN_LIFETIME)
        self._heads: dict[UUID, bytes] = {}
        # The next number of `Town.wish`: a slot is wanted once in all runs together.
        self.next_wish = 0

    def bookings(self, count: int) -> Iterator[Request]:
        """Bookings of slots that nobody else wants, each under a fresh key."""
        for _ in range(count):
            number = self.next_wish
            self.next_wish += 1
            patient, slot = self.town.wish(number)
            yield self.booking(patient, slot, key=f"bench-{number:09}")

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
        who = self.rng.randrange(self.town.patients) if patient is None else patient
        head = self._head(who % 10_000 if patient is None else patient, "patient")
        return Request(kind, b"GET %s HTTP/1.1\r\nHost: bench\r\n%s\r\n" % (path.encode(), head))

    def health(self, count: int) -> Iterator[Request]:
        """The bare endpoint of the machine: no token, no database."""
        for _ in range(count):
            yield Request("live", b"GET /health/live HTTP/1.1\r\nHost: bench\r\n\r\n")

    def status(self, who: int, role: str, consultation: int, status: str) -> Request:
        """A consultation completed by its doctor or cancelled by its patient."""
        body = json.dumps({"status": status}).encode()
        return Request(
            "status",
            b"PATCH /consultations/%s/status HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n%s"
            b"Content-Length: %d\r\n\r\n%s"
            % (str(towns.consultation_id(consultation)).encode(), self._head(who, role), len(body), body),
        )

    def login(self, patient: int) -> Request:
        """A patient logs in with the right password."""
        body = json.dumps({"email": loading.email_of_patient(patient), "password": PASSWORD}).encode()
        return Request(
            "login",
            b"POST /auth/login HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body),
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
