"""Schemathesis over the OpenAPI document, as each of the three roles, in a clinic where something has happened.

Half of the cases are good requests by the document, half are not. Good ones are steered now and then to records that
exist, or everything would be 404. Alone: `python -m tests.proof.fuzz [--short]`.
"""

import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis import Case, GenerationMode
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi import checks
from starlette.testclient import TestClient

from app.db import embedded, migrate
from app.main import create_app
from tests.cast import Clinic, Person, found_clinic, fresh_key, iso, some_time
from tests.conftest import FAST_AND_LOOSE, settings_for
from tests.contract import document
from tests.identity.authenticator import adds_passkey
from tests.proof.figures import Figure, Scenario, at_least, missed, none, told

BASE_URL = "http://testserver"
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
# One draw of Hypothesis at most: many small ones spread the cases over the operations, whatever the total.
EXAMPLES_A_DRAW_MAX = 25
STEERED = 0.6
TOLD_MAX = 10


@dataclass
class Findings:
    """What the answers were, and what was wrong with them."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    told: list[str] = field(default_factory=list)

    def note(self, role: str, case: Case, response: Any) -> None:
        self.statuses[role, response.status_code] += 1
        try:
            case.validate_response(response, checks=CHECKS)
        except FailureGroup as group:
            for failure in group.exceptions:
                assert isinstance(failure, Failure)
                self.failures[failure.title] += 1
                if len(self.told) < TOLD_MAX:
                    self.told.append(f"{role}: {case.as_curl_command()}\n{failure}")

    def cases(self, role: str | None = None) -> int:
        return sum(count for (one, _), count in self.statuses.items() if role in (None, one))

    def share(self, role: str, *hundreds: int) -> float:
        found = sum(
            count for (one, status), count in self.statuses.items() if one == role and status // 100 in hundreds
        )
        return 100 * found / self.cases(role)


class Records:
    """What exists in the clinic, to be named in requests."""

    def __init__(self, clinic: Clinic, drawn: random.Random) -> None:
        self._drawn = drawn
        self._extras = [clinic.hires(f"extra{number}", role=role) for number, role in enumerate(("patient", "doctor"))]
        self._doctors = [clinic.dora.id, clinic.dev.id]
        slots = [clinic.dora.offers(), *(clinic.dev.offers() for _ in range(30))]
        self._slots = [slot["id"] for slot in slots]
        booked = [clinic.paul.has_booked(slot) for slot in slots[:9]]
        for consultation in booked[1:7]:
            clinic.dev.completes(consultation, expect=200)
        prescriptions = [clinic.dev.prescribes(consultation, expect=201).json() for consultation in booked[1:4]]
        clinic.paul.cancels(booked[7], "I feel better", expect=200)
        self._ids = {
            "/users/": [extra.id for extra in self._extras],
            "/doctors/": self._doctors,
            "/availability/": self._slots,
            "/consultations/": [consultation["id"] for consultation in booked],
            "/prescriptions/": [prescription["id"] for prescription in prescriptions],
            "/patients/": [clinic.paul.id, clinic.petra.id],
            "/break-glass/": [clinic.dora.has_opened(clinic.paul)["id"] for _ in range(5)],
            # Of other devices: whoever ends their own present session says nothing more.
            "/auth/sessions/": [
                session["id"]
                for person in (clinic.paul, clinic.dora, clinic.amara)
                for session in person.in_another_session().gets("/auth/sessions").json()["items"]
                if session["is_current"]
            ],
            "/auth/mfa/passkeys/": [adds_passkey(clinic.petra)[1]["id"]],
        }

    def steer(self, case: Case) -> None:
        """Let the request name what exists, by the names of its fields."""
        if "id" in (case.path_parameters or {}):
            room, _, _ = case.operation.path.partition("{")
            case.path_parameters["id"] = self._drawn.choice(self._ids[room])
        for fields in (case.query, case.body):
            if isinstance(fields, dict):
                self._steer_fields(fields)
        if isinstance(case.body, dict) and isinstance(case.body.get("slots"), list):
            for slot in case.body["slots"]:
                self._steer_fields(slot)

    def _steer_fields(self, fields: dict[str, Any]) -> None:
        starts_at = some_time()
        known = {
            "slot_id": lambda: self._drawn.choice(self._slots),
            "consultation_id": lambda: self._drawn.choice(self._ids["/consultations/"]),
            "doctor_id": lambda: self._drawn.choice(self._doctors),
            "starts_at": lambda: iso(starts_at),
            "ends_at": lambda: iso(starts_at + timedelta(minutes=self._drawn.choice((5, 30, 720)))),
            "from": lambda: iso(starts_at),
            "to": lambda: iso(starts_at + timedelta(days=30)),
        }
        for name in known.keys() & fields.keys():
            fields[name] = known[name]()
        # A cursor that nobody gave is always refused, and hides what the other parameters do.
        fields.pop("cursor", None)


def fuzz(client: TestClient, *, cases: int, seed: int) -> list[Figure]:
    """At least `cases` requests in all, a third as each role, each against its own clinic in the running `client`."""
    findings, drawn = Findings(), random.Random(seed)
    for role, name in (("admin", "amara"), ("doctor", "dev"), ("patient", "paul")):
        clinic = found_clinic(client)
        records = Records(clinic, drawn)
        person: Person = getattr(clinic, name)
        while findings.cases(role) < cases / 3:
            _round(client, findings, role, person, records, drawn=drawn, wanted=cases / 3)
    print(*findings.told, sep="\n\n")
    return _figures(findings, cases)


def _round(
    client: TestClient,
    findings: Findings,
    role: str,
    person: Person,
    records: Records,
    *,
    drawn: random.Random,
    wanted: float,
) -> None:
    """A few cases for every operation, good and bad ones."""
    schema = schemathesis.openapi.from_dict(document(client))
    results = list(schema.get_all_operations())
    examples = min(EXAMPLES_A_DRAW_MAX, int(wanted / len(results) / 2) + 1)
    for result in results:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            if findings.cases(role) >= wanted:
                return
            try:
                strategy = result.ok().as_strategy(generation_mode=mode)
                _draw(
                    client, findings, role, person, records,
                    strategy=strategy, examples=examples, is_good=mode.is_positive, drawn=drawn,
                )  # fmt: skip
            except (hypothesis.errors.Unsatisfiable, hypothesis.errors.NoSuchExample):
                # A request without parameters cannot be wrong.
                continue


def _draw(
    client: TestClient,
    findings: Findings,
    role: str,
    person: Person,
    records: Records,
    *,
    strategy: Any,
    examples: int,
    is_good: bool,
    drawn: random.Random,
) -> None:
    @hypothesis.seed(drawn.getrandbits(64))
    @hypothesis.settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(case=strategy)
    def send(case: Case) -> None:
        if is_good and drawn.random() < STEERED:
            records.steer(case)
            if "Idempotency-Key" in (case.headers or {}):
                case.headers["Idempotency-Key"] = fresh_key()
        findings.note(role, case, _answer(client, case, person))

    send()


def _answer(client: TestClient, case: Case, person: Person) -> Any:
    """Send it in-process, with the person's token in place of whatever was drawn."""
    prepared = requests.Request(**case.as_transport_kwargs(base_url=BASE_URL)).prepare()
    headers = {name: value for name, value in prepared.headers.items() if name.lower() != "authorization"}
    headers["Authorization"] = f"Bearer {person.token}"
    return client.request(
        str(prepared.method), str(prepared.url), content=prepared.body, headers=headers, follow_redirects=False
    )


def _figures(findings: Findings, cases: int) -> list[Figure]:
    figures = [at_least("cases in all", findings.cases(), cases)]
    for role in ("admin", "doctor", "patient"):
        figures += [
            told(f"cases as {role}", findings.cases(role)),
            at_least(f"answered 2xx as {role}", findings.share(role, 2), 5, "%"),
        ]
    for status, count in sorted(Counter(status for _, status in findings.statuses.elements()).items()):
        figures.append(told(f"answers of {status}", count))
    server_errors = sum(count for (_, status), count in findings.statuses.items() if status >= 500)
    undocumented = sum(count for title, count in findings.failures.items() if title.startswith("Undocumented"))
    figures += [
        none("answers of 5xx", server_errors),
        none("undocumented statuses and media types", undocumented),
        none("violations of a schema, and other failures", findings.failures.total() - undocumented),
    ]
    return figures


def run(*, cases: int, seed: int = 20_260_101) -> list[Figure]:
    """On an embedded server of its own."""
    with _application() as client:
        return fuzz(client, cases=cases, seed=seed)


def main(*, short: bool) -> bool:
    """Print the figures; whether all bounds are kept."""
    figures = FUZZ.figures(is_short=short)
    print(*figures, sep="\n")
    return not missed(figures)


@contextmanager
def _application() -> Iterator[TestClient]:
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded.attach(Path(folder) / "postgres", parameters=FAST_AND_LOOSE) as attachment,
    ):
        url = attachment.url("telemed_owner")
        migrate.upgrade(url, app_role="telemed_app")
        with TestClient(create_app(settings_for(url)), raise_server_exceptions=False) as client:
            yield client


FUZZ = Scenario("fuzz", run, short={"cases": 600}, full={"cases": 100_000}, is_seeded=True)

if __name__ == "__main__":
    sys.exit(0 if main(short="--short" in sys.argv) else 1)
