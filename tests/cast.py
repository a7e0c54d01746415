"""The people of the tests, and what they do every day.

    amara   the admin           dora, dev     doctors
    paul    a patient           petra         another patient

Each belongs to the clinic of one test. They speak HTTP; every answer they get is held against the OpenAPI document.
"""

import itertools
import uuid
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from httpx2 import Response
from starlette.testclient import TestClient

from app.db.database import Database
from app.identity.users import service as users
from tests.contract import check_documented

PASSWORD = "plum-tractor-candle"
_numbers = itertools.count(1)


def found_clinic(client: TestClient) -> "Clinic":
    """A new clinic with an admin; the others join when a test mentions them."""
    slug = f"c-{uuid.uuid4().hex[:12]}"
    app = client.app
    db: Database = app.state.db  # type: ignore[attr-defined]

    async def found() -> int:
        clinic_id = await users.create_clinic(db, slug=slug)
        assert clinic_id is not None
        await users.create_user(
            db,
            app.state.passwords,  # type: ignore[attr-defined]
            clinic_id=clinic_id,
            new_user=users.NewUser(email="amara@clinic.test", password=PASSWORD, full_name="Amara Admin", role="admin"),
            actor_id=None,
            actor_role=None,
            request_id="test",
        )
        return clinic_id

    assert client.portal is not None
    return Clinic(client, slug, client.portal.call(found))


class Clinic:
    """A clinic and its people."""

    def __init__(self, client: TestClient, slug: str, clinic_id: int) -> None:
        self.client = client
        self.slug = slug
        self.id = clinic_id

    @cached_property
    def nobody(self) -> "Person":
        """Somebody without a token."""
        return Person(self, email="nobody@clinic.test")

    @cached_property
    def amara(self) -> "Person":
        """The admin."""
        return Person(self, email="amara@clinic.test").logs_in()

    @cached_property
    def dora(self) -> "Person":
        """A doctor."""
        return self.hires("dora", role="doctor", specialty="General practice")

    @cached_property
    def dev(self) -> "Person":
        """Another doctor."""
        return self.hires("dev", role="doctor", specialty="Dermatology")

    @cached_property
    def paul(self) -> "Person":
        """A patient."""
        return self.hires("paul", role="patient")

    @cached_property
    def petra(self) -> "Person":
        """Another patient."""
        return self.hires("petra", role="patient")

    def demands_second_factor(self, *roles: str) -> None:
        """As `telemed clinic demand-second-factor` does; of no role: of nobody."""
        db: Database = self.client.app.state.db  # type: ignore[attr-defined]
        assert self.client.portal is not None
        self.client.portal.call(
            lambda: users.demand_second_factor(db, clinic_id=self.id, roles=roles, request_id="test")
        )

    def hires(self, name: str, **fields: Any) -> "Person":
        """Somebody whom the admin gives an account, logged in."""
        body = {
            "email": f"{name}@clinic.test",
            "password": PASSWORD,
            "full_name": f"{name.title()} Test",
            **fields,
        }
        self.amara.posts("/users/", body, expect=201)
        return Person(self, email=body["email"], password=body["password"]).logs_in()


class Person:
    """Somebody who sends requests, with a token once logged in."""

    def __init__(self, clinic: Clinic, *, email: str, password: str = PASSWORD) -> None:
        self.clinic = clinic
        self.email = email
        self.password = password
        self.token: str | None = None
        self.refresh_token: str | None = None

    @cached_property
    def id(self) -> str:
        """The id of the account."""
        return str(self.gets("/users/me", expect=200).json()["id"])

    def logs_in(self) -> "Person":
        """Get a token; also again, for another session."""
        body = {"email": self.email, "password": self.password, "clinic": self.clinic.slug}
        tokens = self.posts("/auth/login", body, expect=200).json()
        self.token, self.refresh_token = tokens["access_token"], tokens["refresh_token"]
        return self

    def in_another_session(self) -> "Person":
        """The same person on another device."""
        return Person(self.clinic, email=self.email, password=self.password).logs_in()

    def at(self, clinic: Clinic) -> "Person":
        """The same session, asking another process that serves the clinic."""
        person = Person(clinic, email=self.email, password=self.password)
        person.token, person.refresh_token = self.token, self.refresh_token
        return person

    def sends(
        self, method: str, path: str, *, expect: int | None = None, key: str | None = None, **request: Any
    ) -> Response:
        """One request; the answer must be documented, and have the expected status if one is given."""
        headers = {name.lower(): value for name, value in dict(request.pop("headers", {})).items()}
        if self.token is not None:
            headers.setdefault("authorization", f"Bearer {self.token}")
        if key is not None:
            headers["idempotency-key"] = key
        response = self.clinic.client.request(method, path, headers=headers, **request)
        check_documented(self.clinic.client, method, path, response)
        if expect is not None:
            assert response.status_code == expect, response.text
        return response

    def gets(self, path: str, **request: Any) -> Response:
        return self.sends("GET", path, **request)

    def posts(self, path: str, json: Any = None, **request: Any) -> Response:
        return self.sends("POST", path, **({"json": json} if json is not None else {}), **request)

    def patches(self, path: str, json: Any = None, **request: Any) -> Response:
        return self.sends("PATCH", path, json=json, **request)

    def deletes(self, path: str, **request: Any) -> Response:
        return self.sends("DELETE", path, **request)

    def offers(self, starts_at: datetime | None = None, *, minutes: int = 30) -> dict[str, Any]:
        """As a doctor: a new open slot, by default some time in the next days where no other one is."""
        starts_at = starts_at or some_time()
        body = {"starts_at": iso(starts_at), "ends_at": iso(starts_at + timedelta(minutes=minutes))}
        return dict(self.posts("/availability/", body, expect=201).json())

    def books(self, slot: dict[str, Any] | int, *, key: str | None = None, **request: Any) -> Response:
        """As a patient: try to book a slot, under a fresh key unless one is given."""
        slot_id = slot if isinstance(slot, int) else slot["id"]
        return self.posts("/bookings/", {"slot_id": slot_id}, key=key or fresh_key(), **request)

    def has_booked(self, slot: dict[str, Any]) -> dict[str, Any]:
        """As a patient: the consultation in this slot."""
        return dict(self.books(slot, expect=201).json())

    def completes(self, consultation: dict[str, Any], **request: Any) -> Response:
        return self.patches(f"/consultations/{consultation['id']}/status", {"status": "completed"}, **request)

    def cancels(self, consultation: dict[str, Any], reason: str | None = None, **request: Any) -> Response:
        body = {"status": "cancelled", **({"reason": reason} if reason is not None else {})}
        return self.patches(f"/consultations/{consultation['id']}/status", body, **request)

    def prescribes(self, consultation: dict[str, Any], *, key: str | None = None, **request: Any) -> Response:
        """As a doctor: try to prescribe one medication."""
        return self.posts("/prescriptions/", prescription_for(consultation["id"]), key=key or fresh_key(), **request)

    def breaks_glass(self, patient: "Person", reason: str = "Unconscious", **request: Any) -> Response:
        """As a doctor: try to open the patient's record."""
        return self.posts(f"/patients/{patient.id}/break-glass", {"reason": reason}, **request)

    def has_opened(self, patient: "Person", reason: str = "Unconscious") -> dict[str, Any]:
        """As a doctor: the grant for the patient's record."""
        return dict(self.breaks_glass(patient, reason, expect=201).json())

    def accesses(self, **filters: str) -> list[dict[str, Any]]:
        """What others did with the person's own record, newest first."""
        return list(self.gets("/users/me/access-log", params=filters, expect=200).json()["items"])

    def audit_rows(self, **filters: str) -> list[dict[str, Any]]:
        """As the admin: the clinic's audit rows that match, newest first."""
        return list(self.gets("/audit-logs/", params=filters, expect=200).json()["items"])


def prescription_for(consultation_id: str, **changes: Any) -> dict[str, Any]:
    """A body for `POST /prescriptions/`."""
    item = {
        "medication": "Amoxicillin 500 mg",
        "dosage": "1 capsule",
        "frequency": "3 times a day",
        "duration_days": 7,
    }
    return {"consultation_id": consultation_id, "items": [item], **changes}


def fresh_key() -> str:
    """An idempotency key that nobody has used."""
    return f"key-{uuid.uuid4()}"


def some_time() -> datetime:
    """A moment in the coming months, an hour after the one before, so that nothing overlaps by chance."""
    return tomorrow() + timedelta(hours=next(_numbers) % 1800)


def begin_after(number: int) -> None:
    """Let `some_time` go on where another process has left it."""
    global _numbers  # noqa: PLW0603 - the one clock of the cast
    _numbers = itertools.count(number)


def moments_used() -> int:
    """How often `some_time` was asked."""
    return next(_numbers)


def tomorrow() -> datetime:
    """The next midnight but one, in UTC."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today + timedelta(days=2)


def iso(moment: datetime) -> str:
    """RFC 3339, in UTC, as the API answers it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
