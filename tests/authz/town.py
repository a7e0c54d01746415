"""Two clinics in which everybody has a record of every kind, and all the principals who may knock.

own               paul, dora, amara       whose cells are tried
another's         petra, dev, ada         of the same clinic
another clinic's  paul, dora, amara       of the clinic abroad
"""

import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from httpx2 import Response
from starlette.testclient import TestClient

from app.identity.rules import ADMIN, DOCTOR, PATIENT
from tests.authz.needs import Call
from tests.authz.owned import KINDS, Reach
from tests.cast import PASSWORD, Clinic, Person, begin_after, moments_used
from tests.contract import operation_for

# Of records that cannot be made while the matrix is tried: one to be refused, one to be taken, one to log out of.
STOCK = {"passkey": 2, "session": 3}


class Whose(Enum):
    """Of the record, seen from who asks."""

    OWN = "own"
    ANOTHERS = "another's"
    ELSEWHERE = "another clinic's"
    ABSENT = "absent"


SIDES = (Whose.OWN, Whose.ANOTHERS, Whose.ELSEWHERE)


class Standing(Enum):
    """What a token is worth."""

    GOOD = "good"
    HALF = "good for setting up a second factor"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody, or nobody, who asks; `authorization` in the place of their token."""

    name: str
    person: Person
    role: str | None
    standing: Standing
    authorization: str | None = None

    def sends(self, method: str, request: dict[str, Any], headers: dict[str, str]) -> Response:
        if self.authorization is not None:
            headers = {**headers, "authorization": self.authorization}
        if method == "HEAD":
            # No body to hold against the document.
            return self.person.clinic.client.request(method, request["path"], headers=headers)
        return self.person.sends(method, headers=headers, **request)


class Town:
    """Everybody and everything that the matrix is tried with."""

    def __init__(self, clinics: dict[str, Clinic]) -> None:
        self.clinics = clinics
        self.sides: dict[Whose, dict[str, Person]] = {}
        self.principals: list[Principal] = []
        # An admin who opened a record while still a doctor, and that grant.
        self.promoted: tuple[Person, str] | None = None
        # Of somebody with an app: it opens nothing of anybody else's.
        self.others_code = ""
        # Who has just come, for each thing that they do to their account.
        self.newcomers: dict[Call, Person] = {}
        self.stock: dict[tuple[str, Whose, str], list[tuple[str, str]]] = defaultdict(list)
        # The ids of each kind on each side.
        self.ids: dict[tuple[str, Whose], set[str]] = defaultdict(set)
        self.told: dict[str, set[str]] = defaultdict(set)
        self._records: dict[tuple[str, Whose, str], str] = {}

    @property
    def client(self) -> TestClient:
        return self.clinics["home"].client

    @property
    def nobody(self) -> Person:
        return self.clinics["home"].nobody

    @property
    def one_of_each(self) -> list[Principal]:
        """A principal of each sort: the gate tells more of them apart, the router none."""
        return list({one.name.split()[0]: one for one in self.principals}.values())

    def of(self, whose: Whose, role: str) -> Person:
        return self.sides[whose][role]

    def record(self, kind: str, whose: Whose, role: str) -> str:
        """A record that several may ask for in vain."""
        place = (kind, whose, role)
        if place not in self._records:
            self._records[place] = self.stock[place][0][0] if kind in STOCK else self.make(kind, whose, role)
        return self._records[place]

    def make(self, kind: str, whose: Whose, role: str) -> str:
        """One more, for somebody who may change it."""
        if kind in STOCK:
            return self.stock[kind, whose, role][1][0]
        patient, doctor = self.of(whose, PATIENT), self.of(whose, DOCTOR)
        makers: dict[str, Callable[[], Any]] = {
            "account": lambda: patient.id,
            "doctor": lambda: doctor.id,
            "patient": lambda: _hired(self.of(whose, ADMIN)),
            "slot": lambda: doctor.offers()["id"],
            "offered slot": lambda: doctor.offers()["id"],
            "consultation": lambda: patient.has_booked(doctor.offers())["id"],
            "held consultation": lambda: _held(patient, doctor),
            "prescription": lambda: doctor.prescribes({"id": _held(patient, doctor)}, expect=201).json()["id"],
            "opened record": lambda: doctor.has_opened(patient)["patient_id"],
            "grant": lambda: doctor.has_opened(patient)["id"],
        }
        id = str(makers[kind]())
        self.ids[kind, whose].add(id)
        return id

    def views(self, call: Call) -> list[dict[str, str]]:
        """The ways to ask for a list: as it is, and for each word that a filter knows."""
        operation = operation_for(self.client, *call) or {}
        words = [
            {one["name"]: word}
            for one in operation.get("parameters", [])
            for schema in (one["schema"], *one["schema"].get("anyOf", []))
            for word in schema.get("enum", ["true", "false"] if schema.get("type") == "boolean" else [])
        ]
        return [{}, *words]

    def parameters(self, call: Call) -> set[str]:
        operation = operation_for(self.client, *call) or {}
        return {one["name"] for one in operation.get("parameters", [])}

    def keep(self, records: dict[tuple[str, Whose, str], str]) -> None:
        self._records.update(records)

    def foreign(self, kind: str, role: str) -> set[str]:
        """The ids of this kind that somebody of the role on our side must never be told."""
        reach = KINDS[kind].get(role)
        sides = SIDES if reach is None else SIDES[1:] if reach is Reach.OWN else SIDES[2:]
        found = set[str]().union(*(self.ids[kind, side] for side in sides))
        return found if reach else found - self.told[role]

    def saved(self) -> dict[str, Any]:
        """All of it that is not in the database, as JSON."""
        assert self.promoted
        people: list[Person] = []

        def number(person: Person) -> int:
            if person not in people:
                people.append(person)
            return people.index(person)

        values = {
            "sides": [
                [side.name, role, number(one)] for side, here in self.sides.items() for role, one in here.items()
            ],
            "principals": [
                [one.name, number(one.person), one.role, one.standing.name, one.authorization]
                for one in self.principals
            ],
            "promoted": [number(self.promoted[0]), self.promoted[1]],
            "newcomers": [[*call, number(one)] for call, one in self.newcomers.items()],
            "stock": [[kind, side.name, role, rows] for (kind, side, role), rows in self.stock.items()],
            "ids": [[kind, side.name, sorted(ids)] for (kind, side), ids in self.ids.items()],
            "told": [[role, sorted(ids)] for role, ids in self.told.items()],
            "records": [[kind, side.name, role, id] for (kind, side, role), id in self._records.items()],
            "moments": moments_used(),
            "others_code": self.others_code,
        }
        slugs = {name: [clinic.slug, clinic.id] for name, clinic in self.clinics.items()}
        names = {clinic.slug: name for name, clinic in self.clinics.items()}
        told = [
            [names[one.clinic.slug], one.email, one.token, one.refresh_token, one.id if one.token else None]
            for one in people
        ]
        return {"clinics": slugs, "people": told, **values}


def restored(client: TestClient, saved: dict[str, Any]) -> Town:
    """The town that was saved, at an application on a copy of its database."""
    town = Town({name: Clinic(client, slug, id) for name, (slug, id) in saved["clinics"].items()})
    people: list[Person] = []
    for clinic, email, token, refresh_token, id in saved["people"]:
        person = Person(town.clinics[clinic], email=email)
        person.token, person.refresh_token = token, refresh_token
        if id:
            person.id = id
        people.append(person)
    for side, role, number in saved["sides"]:
        town.sides.setdefault(Whose[side], {})[role] = people[number]
    town.principals = [
        Principal(name, people[number], role, Standing[standing], authorization)
        for name, number, role, standing, authorization in saved["principals"]
    ]
    begin_after(saved["moments"])
    town.others_code = saved["others_code"]
    town.keep({(kind, Whose[side], role): id for kind, side, role, id in saved["records"]})
    number, grant_id = saved["promoted"]
    town.promoted = people[number], grant_id
    town.newcomers = {(method, path): people[number] for method, path, number in saved["newcomers"]}
    town.stock.update({(kind, Whose[side], role): rows for kind, side, role, rows in saved["stock"]})
    town.ids.update({(kind, Whose[side]): set(ids) for kind, side, ids in saved["ids"]})
    town.told.update({role: set(ids) for role, ids in saved["told"]})
    return town


def ids_in(answer: Any) -> set[str]:
    """The ids of the records that an answer tells, not of those to which they refer."""
    if not isinstance(answer, dict):
        return set()
    # A prescription has items, too.
    items = [answer] if "id" in answer else answer.get("items", [])
    return {str(item["id"]) for item in items if "id" in item}


def _held(patient: Person, doctor: Person) -> str:
    return str(doctor.completes(patient.has_booked(doctor.offers()), expect=200).json()["id"])


def _hired(admin: Person) -> str:
    body = {"email": f"{uuid.uuid4()}@clinic.test", "password": PASSWORD, "full_name": "Extra", "role": PATIENT}
    return str(admin.posts("/users/", body, expect=201).json()["id"])
