"""Everybody does everything in any order, over HTTP, and each answer is held against the rulebook.

One clinic serves all runs: between two of them its tables are emptied, which takes milliseconds. The clock is moved by
moving everything else, as a superuser: all slots and consultations of the clinic go so many minutes back at once.
"""

import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from httpx2 import Response
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.booking import wishes
from tests.booking.rulebook import ROLES, Deed, Rulebook, Verdict
from tests.booking.wishes import FRESH, GRID, Happening, Look
from tests.cast import Clinic, Person, fresh_key, iso

# What is drawn begins on tens, and now is halfway between two: a run has five minutes of the real clock.
OPENING = timedelta(minutes=GRID / 2)
PATHS = {
    "offer": ("POST", "/availability/"),
    "offer_bulk": ("POST", "/availability/bulk"),
    "withdraw": ("DELETE", "/availability/{}"),
    "book": ("POST", "/bookings/"),
    "change": ("PATCH", "/consultations/{}/status"),
    "prescribe": ("POST", "/prescriptions/"),
}
# Whoever refers comes before what is referred to.
TABLES = ("prescriptions", "consultations", "availability_slots", "idempotency_keys", "outbox", "audit_logs")
# With what a superuser is stopped by no trigger.
PAST_TRIGGERS = "-c session_replication_role=replica -c timezone=UTC"

_EVENTS = ("consultation.booked", "consultation.completed", "consultation.cancelled", "prescription.created")
_TIME = re.compile(rb'("(?:starts|ends)_at":)"([^"]+)"')


class World:
    """The one clinic in which all runs happen, and what was counted in them."""

    def __init__(self, clinic: Clinic, boss: "psycopg.Connection[Any]") -> None:
        self.clinic, self.boss = clinic, boss
        pia = clinic.hires("pia", role="patient")
        self.people: dict[str, Person] = {name: pia if name == "pia" else getattr(clinic, name) for name in ROLES}
        self.names = {person.id: name for name, person in self.people.items()}
        self.runs = self.steps = self.looks = 0
        self.told: Counter[str] = Counter()

    def empty(self) -> None:
        for table in TABLES:
            self.boss.execute(f"DELETE FROM {table} WHERE clinic_id = %s".encode(), [self.clinic.id])

    def asks(self, query: str, *values: object) -> list[Any]:
        return self.boss.execute(query.encode(), [self.clinic.id, *values]).fetchall()


class Machine(RuleBasedStateMachine):
    """One run."""

    def __init__(self, world: World) -> None:
        super().__init__()
        world.empty()
        world.runs += 1
        self.world = world
        self.origin = datetime.now(UTC).replace(microsecond=0) + OPENING
        self.rules = Rulebook(self.minute_of)
        # The first slot that can be drawn begins at minute 0, so now is before it.
        self.rules.now = -GRID // 2
        # What was asked for under a key.
        self.keyed: list[Deed] = []
        # Whether anything was asked for since the last look.
        self.is_touched = self.is_contradicted = False

    @initialize(places=st.lists(wishes.places, min_size=2, max_size=4, unique=True))
    def doctors_have_time(self, places: list[int]) -> None:
        wished = {"slots": [self.interval(place, GRID) for place in places]}
        for doctor in ("dora", "dev"):
            self.does(Deed(doctor, "offer_bulk", wished, FRESH))

    # One rule and not ten: in each run Hypothesis leaves out rules at random, and most promises show where all meet.
    @rule(next=st.runner().flatmap(wishes.whatever))
    def happens(self, next: Deed | Look | Happening) -> None:  # noqa: A002 - printed as `happens(next=…)`
        self.world.steps += 1
        if isinstance(next, Deed):
            self.does(next)
        elif isinstance(next, Look):
            self.looks(next)
        elif next.what == "time passes":
            self.time_passes(timedelta(minutes=next.tens * GRID))
        elif next.what == "a week passes for keys":
            self.keys_age()
        else:
            self.employs(next.what.split()[0])

    # ── Deeds ──

    def does(self, deed: Deed) -> None:
        """The deed, its answer held against the rulebook."""
        if deed.person in self.rules.away:
            return
        if deed.key == FRESH:
            deed = replace(deed, key=fresh_key())
        if deed.key is not None:
            self.keyed.append(deed)
        verdict = self.rules.judge(deed)
        method, path = PATHS[deed.operation]
        body = {} if deed.body is None else {"json": deed.body}
        answer = self.world.people[deed.person].sends(method, path.format(deed.target), key=deed.key, **body)
        self.is_touched = True
        self.world.told[f"{deed.operation}: {'again' if verdict.again else verdict.code or 'done'}"] += 1
        self._holds_as_told(deed, verdict, answer)
        seen, location = self._seen(answer), answer.headers.get("location")
        self.rules.note(deed, verdict, seen, content=self._content(answer), location=location)
        if verdict.code is None and verdict.again is None:
            wanted, address = self.rules.as_done(deed, seen)
            self.holds(seen == wanted, f"{deed}: wanted {wanted}", seen)
            self.holds(location == address, f"{deed}: other location", location)

    def _holds_as_told(self, deed: Deed, verdict: Verdict, answer: Response) -> None:
        code = answer.json()["code"] if answer.status_code >= 400 else None
        self.holds((answer.status_code, code) == (verdict.status, verdict.code), f"{deed}: {verdict}", answer.text)
        is_replay = answer.headers.get("idempotency-replayed") == "true"
        self.holds(is_replay == (verdict.again is not None), f"{deed}: replayed {is_replay}", answer.text)
        if verdict.again is not None:
            self.holds(self._content(answer) == verdict.again.content, f"{deed}: other bytes", answer.text)
        if verdict.again is not None or verdict.code is not None:
            location = answer.headers.get("location")
            self.holds(location == verdict.location, f"{deed}: other location", location)

    # ── What happens meanwhile ──

    def time_passes(self, time: timedelta) -> None:
        """The earliest first, so that nothing moves on what has yet to move."""
        for table in ("availability_slots", "consultations"):
            for (id,) in self.world.asks(f"SELECT id FROM {table} WHERE clinic_id = %s ORDER BY starts_at"):
                move = f"UPDATE {table} SET starts_at = starts_at - %s, ends_at = ends_at - %s"
                values = [time, time, self.world.clinic.id, id]
                self.world.boss.execute(f"{move} WHERE clinic_id = %s AND id = %s".encode(), values)
        self.origin -= time
        self.rules.now += time // timedelta(minutes=1)
        self.is_touched = True

    def keys_age(self) -> None:
        aged = "UPDATE idempotency_keys SET created_at = created_at - interval '7 days' WHERE clinic_id = %s"
        self.world.boss.execute(aged.encode(), [self.world.clinic.id])
        for told in self.rules.told.values():
            told.is_old = True

    def employs(self, doctor: str) -> None:
        """Or employs no longer; who is away has no token, and gets a new one when they are back."""
        person, is_active = self.world.people[doctor], doctor in self.rules.away
        self.world.people["amara"].patches(f"/users/{person.id}", {"is_active": is_active}, expect=200)
        self.rules.away ^= {doctor}
        if is_active:
            person.logs_in()
        self.is_touched = True

    # ── Looks ──

    @invariant()
    def search_finds_what_is_open(self) -> None:
        if self.is_touched:
            seen = self._pages("paul", "/availability/", {}, limit=100)
            self.holds(seen == self.rules.open_slots(), "a search finds other slots", seen)
            self.is_touched = False

    def looks(self, look: Look) -> None:
        """At slots, then at the person's own records, page by page, and at one consultation."""
        if look.person in self.rules.away:
            return
        filters = {"status": look.status, "from": iso(self.origin - timedelta(days=1))}
        filters |= {"doctor_id": self.world.people[look.doctor].id} if look.doctor else {}
        seen = self._pages(look.person, "/availability/", filters, limit=look.limit)
        wanted = self.rules.slots_of(status=look.status, since=-24 * 60, doctor=look.doctor)
        self.holds(seen == wanted, f"{look}: other slots", seen)
        path = "/consultations/" if look.person == "amara" else "/consultations/my"
        seen = self._pages(look.person, path, {}, limit=look.limit)
        self.holds(seen == self.rules.consultations_of(look.person), f"{look}: other consultations", seen)
        if look.person != "amara":
            seen = self._pages(look.person, "/prescriptions/my", {}, limit=look.limit)
            self.holds(seen == self.rules.prescriptions_of(look.person), f"{look}: other prescriptions", seen)
        for consultation in list(self.rules.consultations.values())[-look.limit :][:2]:
            answer = self.world.people[look.person].gets(f"/consultations/{consultation.id}")
            view = consultation.view() if self.rules.is_concerned(look.person, consultation) else None
            self.holds(answer.status_code == (200 if view else 404), f"{look}: {answer.status_code}", answer.text)
            self.holds(view in (None, self._seen(answer)), f"{look}: wanted {view}", answer.text)

    def teardown(self) -> None:
        try:
            if not self.is_contradicted:
                self._tables_hold_what_was_told()
        finally:
            # The next run begins with everybody, also when this one has failed.
            for doctor in sorted(self.rules.away):
                self.employs(doctor)

    def _tables_hold_what_was_told(self) -> None:
        """Behind the API: the rows, and what every change leaves beside them."""
        asks, rules = self.world.asks, self.rules
        rows = asks("SELECT id, status FROM availability_slots WHERE clinic_id = %s")
        self.holds(dict(rows) == {slot.id: slot.status for slot in rules.slots.values()}, "other slots", rows)
        rows = asks("SELECT id::text, slot_id, status FROM consultations WHERE clinic_id = %s")
        wanted = {(one.id, one.slot.id, one.status) for one in rules.consultations.values()}
        self.holds(set(rows) == wanted, "other consultations", rows)
        rows = asks("SELECT id::text FROM prescriptions WHERE clinic_id = %s")
        self.holds({id for (id,) in rows} == rules.prescriptions.keys(), "other prescriptions", rows)
        rows = asks("SELECT count(*) FROM idempotency_keys WHERE clinic_id = %s")
        self.holds(rows == [(len(rules.told),)], "other keys", rows)
        changes = "SELECT action, count(*) FROM audit_logs WHERE clinic_id = %s AND action = ANY (%s) GROUP BY action"
        rows = asks(changes, ["slot.created", "slot.withdrawn", *_EVENTS])
        self.holds(dict(rows) == dict(rules.changes), "other audit rows", rows)
        rows = asks("SELECT topic, count(*) FROM outbox WHERE clinic_id = %s GROUP BY topic")
        events = {name: count for name, count in rules.changes.items() if name in _EVENTS}
        self.holds(dict(rows) == events, "other events", rows)

    # ── How it is read ──

    def holds(self, claim: bool, sentence: str, seen: object) -> None:
        if not claim:
            self.is_contradicted = True
            raise AssertionError(f"{sentence}\nseen: {seen}")

    def minute_of(self, moment: str) -> int:
        minutes = (datetime.fromisoformat(moment) - self.origin) / timedelta(minutes=1)
        assert minutes == int(minutes), moment
        return int(minutes)

    def interval(self, place: int, length: int) -> dict[str, str]:
        """Begins so many minutes from the first ten that is ahead."""
        begin = self.origin + timedelta(minutes=self.rules.now + GRID / 2 + place)
        return {"starts_at": iso(begin), "ends_at": iso(begin + timedelta(minutes=length))}

    def _pages(self, person: str, path: str, filters: dict[str, str], *, limit: int) -> list[Any]:
        """All pages of a list, one after the other."""
        self.world.looks += 1
        items: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            query = {**filters, **cursor, "limit": str(limit)}
            page = self._seen(self.world.people[person].gets(path, params=query, expect=200))
            self.holds(len(page["items"]) <= limit, "a page is longer than asked for", page)
            items += page["items"]
            if page["next_cursor"] is None:
                return items
            cursor = {"cursor": page["next_cursor"]}

    def _seen(self, answer: Response) -> Any:
        """The answer with times in minutes and people by name."""
        return self._read(answer.json()) if answer.content else None

    def _read(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._read(item) for item in value]
        if not isinstance(value, dict):
            return value
        named = self.world.names.__getitem__
        readers = {"starts_at": self.minute_of, "ends_at": self.minute_of, "doctor_id": named, "patient_id": named}
        return {name: readers.get(name, self._read)(item) for name, item in value.items()}

    def _content(self, answer: Response) -> bytes:
        """Its bytes, but for what moves with the clock and what is of this request alone."""

        def in_minutes(found: "re.Match[bytes]") -> bytes:
            return found[1] + str(self.minute_of(found[2].decode())).encode()

        own = answer.headers["x-request-id"].encode()
        return _TIME.sub(in_minutes, answer.content.replace(own, b"request"))
