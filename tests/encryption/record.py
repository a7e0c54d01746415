"""Paul's record with something in every clinical field, and what each of his people reads of it."""

from contextlib import AbstractContextManager
from typing import Any

import psycopg
from starlette.testclient import TestClient

from app.main import create_app
from tests.cast import Clinic, fresh_key, prescription_for, some_time
from tests.conftest import settings_for
from tests.prescription.test_post_prescriptions import FULL_ITEM, held_consultation

MARK = "canary-of-clinical-text"
ITEM = {**FULL_ITEM, "medication": f"{MARK} amoxicillin", "instructions": f"{MARK} with water"}


class Record:
    """A prescription, a cancelled consultation and a reviewed break-glass grant of Paul's."""

    def __init__(self, clinic: Clinic) -> None:
        self.clinic = clinic
        body = prescription_for(held_consultation(clinic)["id"], items=[ITEM], notes=f"{MARK} notes")
        self.prescription = clinic.dora.posts("/prescriptions/", body, key=fresh_key(), expect=201).json()
        booked = clinic.paul.has_booked(clinic.dora.offers(some_time()))
        self.cancelled = clinic.paul.cancels(booked, f"{MARK} fever", expect=200).json()
        grant = clinic.dev.has_opened(clinic.paul, f"{MARK} unconscious")
        review = {"note": f"{MARK} ward confirms"}
        self.grant = clinic.amara.posts(f"/break-glass/{grant['id']}/review", review, expect=200).json()

    def read(self, clinic: Clinic | None = None) -> dict[str, Any]:
        """Every clinical text, as it is told by each address that tells it."""
        there = clinic or self.clinic
        paul, dora, amara = (person.at(there) for person in (self.clinic.paul, self.clinic.dora, self.clinic.amara))
        one = paul.gets(f"/prescriptions/{self.prescription['id']}", expect=200).json()
        return {
            "prescription": (one["items"], one["notes"]),
            "received": [row["notes"] for row in paul.gets("/prescriptions/my", expect=200).json()["items"]],
            "issued": [row["notes"] for row in dora.gets("/prescriptions/my", expect=200).json()["items"]],
            "cancelled": paul.gets(f"/consultations/{self.cancelled['id']}", expect=200).json()["cancel_reason"],
            "listed": _reasons(paul.gets("/consultations/my", expect=200).json()),
            "all": _reasons(amara.gets("/consultations/", expect=200).json()),
            "grants": [
                (row["reason"], row["review_note"]) for row in amara.gets("/break-glass/", expect=200).json()["items"]
            ],
            "accesses": {
                row["reason"]
                for row in paul.gets("/users/me/access-log", expect=200).json()["items"]
                if row["action"] == "break_glass.granted"
            },
        }


WRITTEN = {
    "prescription": ([ITEM], f"{MARK} notes"),
    "received": [f"{MARK} notes"],
    "issued": [f"{MARK} notes"],
    "cancelled": f"{MARK} fever",
    "listed": [f"{MARK} fever"],
    "all": [f"{MARK} fever"],
    "grants": [(f"{MARK} unconscious", f"{MARK} ward confirms")],
    "accesses": {f"{MARK} unconscious"},
}
ERASED = {
    "prescription": ([], None),
    "received": [None],
    "issued": [None],
    "cancelled": None,
    "listed": [],
    "all": [],
    "grants": [(None, None)],
    "accesses": {None},
}


def _reasons(page: dict[str, Any]) -> list[str]:
    return [row["cancel_reason"] for row in page["items"] if row["cancel_reason"] is not None]


def serving(url: str, **settings: object) -> AbstractContextManager[TestClient]:
    """An application on the database, with these settings."""
    return TestClient(create_app(settings_for(url, **settings)), raise_server_exceptions=False)


def past_triggers(boss_url: str) -> psycopg.Connection:
    """Somebody with every right in the database, whom no trigger stops."""
    return psycopg.connect(boss_url, autocommit=True, options="-c session_replication_role=replica")
