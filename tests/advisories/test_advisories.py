"""What went wrong elsewhere, tried here: one test for each advisory, named by it. `docs/advisories.md` is the table."""

import concurrent.futures
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fastapi import APIRouter

from app.identity import rules
from app.identity.guard import GuardedRoute, Pace, gate_of
from app.identity.hasher import Hasher
from app.identity.passwords import LENGTH_MAX
from tests.authz.needs import NEEDS
from tests.cast import PASSWORD, Clinic, fresh_key, iso, prescription_for, some_time
from tests.conftest import SECRET_KEY, apart
from tests.http.operations import JSON, operations
from tests.identity.test_access_tokens import LONG_KEY, claims_of, signed
from tests.laws.catalog import routes
from tests.laws.test_database_knows_who_asks import tell
from tests.prescription.test_post_prescriptions import held_consultation

TABLES = (
    "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename !~ '^(audit_logs|alembic|rate_counts)'"
)


def held(clinic: Clinic) -> dict[str, Any]:
    return clinic.paul.has_booked(clinic.dora.offers())


def counts(owner: psycopg.Connection) -> dict[str, int]:
    """How many rows each table has, and how often one of them was changed."""
    names = [name for (name,) in owner.execute(TABLES).fetchall()]
    owner.execute("SELECT pg_stat_force_next_flush()")
    return {name: owner.execute(f"SELECT count(*), sum(xmin::text::bigint) FROM {name}").fetchone() for name in names}  # type: ignore[misc]


def test_cve_2023_38047_easyappointments_records_by_number(clinic: Clinic) -> None:
    # Of every kind of record: tests/authz.
    slot, consultation = clinic.dora.offers(), held(clinic)
    prescription = clinic.dora.prescribes(held_consultation(clinic), expect=201).json()
    for stranger in (clinic.petra, clinic.dev):
        stranger.gets(f"/consultations/{consultation['id']}", expect=404)
        stranger.gets(f"/prescriptions/{prescription['id']}", expect=404)
        stranger.cancels(consultation, expect=404)
    clinic.dev.deletes(f"/availability/{slot['id']}", expect=404)


def test_cve_2023_3700_easyappointments_somebody_else_in_the_body(clinic: Clinic) -> None:
    times = {"starts_at": iso(start := some_time()), "ends_at": iso(start + timedelta(minutes=30))}
    clinic.dev.posts("/availability/", {**times, "doctor_id": clinic.dora.id}, expect=422)
    body = {"slot_id": clinic.dora.offers()["id"], "patient_id": clinic.paul.id}
    clinic.petra.posts("/bookings/", body, key=fresh_key(), expect=422)
    body = prescription_for(held_consultation(clinic)["id"], doctor_id=clinic.dora.id)
    clinic.dev.posts("/prescriptions/", body, key=fresh_key(), expect=422)


def test_cve_2026_23622_easyappointments_a_get_that_changes(clinic: Clinic, owner: psycopg.Connection) -> None:
    consultation = held(clinic)
    people = [clinic.paul, clinic.dora, clinic.amara]
    assert all(person.id for person in people)
    before = counts(owner)
    for method, path, _ in routes():
        if method == "GET":
            for person in people:
                for _ in range(2):
                    person.gets(
                        path.replace("{id}", consultation["id"]),
                        headers={"X-HTTP-Method-Override": "DELETE"},
                    )
                person.gets(f"{path}?_method=DELETE".replace("{id}", consultation["id"]))
    assert counts(owner) == before


def test_cve_2026_23478_cal_com_an_email_that_becomes_an_identity(clinic: Clinic) -> None:
    clinic.paul.patches("/users/me", {"email": clinic.amara.email}, expect=422)
    body = {"refresh_token": clinic.paul.refresh_token, "email": clinic.amara.email}
    clinic.nobody.posts("/auth/refresh", body, expect=422)
    assert clinic.paul.gets("/users/me").json()["email"] == clinic.paul.email


def test_cal_com_2026_01_a_registration_that_overwrites(clinic: Clinic) -> None:
    before = clinic.paul.gets("/users/me").json()
    body = {"email": " PAUL@clinic.test", "password": "another-plum-tractor", "full_name": "Mallory"}
    clinic.nobody.posts("/auth/register", {**body, "clinic": clinic.slug}, expect=409)
    assert clinic.paul.logs_in().gets("/users/me").json() == before


def test_cve_2026_25164_openemr_a_route_without_a_check() -> None:
    async def endpoint() -> None:
        """Nobody said who may call it."""

    with pytest.raises(TypeError, match="states neither"):
        APIRouter(route_class=GuardedRoute).get("/open")(endpoint)


@pytest.mark.parametrize("operation", [one for one in operations() if one.media_type == JSON], ids=str)
def test_cve_2026_25744_openemr_an_id_in_the_body(clinic: Clinic, operation: Any) -> None:
    body = {**operation.good_body, "id": "01a224bc-2254-7f85-ab0b-7d111bb7f2c5"}
    answer = operation.caller(clinic).sends(operation.method, operation.good_path(), json=body, key=fresh_key())
    assert answer.status_code == 422


def test_cve_2026_27943_openemr_a_present_patient_in_the_session(clinic: Clinic) -> None:
    of_petra = clinic.petra.has_booked(clinic.dora.offers())
    clinic.dora.completes(of_petra, expect=200)
    answer = clinic.dora.gets(f"/consultations/{held(clinic)['id']}", expect=200)
    assert "set-cookie" not in answer.headers
    assert clinic.dora.prescribes(of_petra, expect=201).json()["patient_id"] == clinic.petra.id


def test_cve_2026_32126_openemr_a_check_upside_down(clinic: Clinic) -> None:
    path = f"/consultations/{held(clinic)['id']}"
    assert [getattr(clinic, name).gets(path).status_code for name in ("paul", "dora", "amara")] == [200] * 3
    assert [getattr(clinic, name).gets(path).status_code for name in ("petra", "dev")] == [404] * 2


def test_cve_2026_24898_openemr_a_token_for_nobody(clinic: Clinic) -> None:
    assert clinic.paul.token
    for method, path, _ in routes():
        answer = clinic.nobody.sends(method, path.replace("{id}", clinic.paul.id))
        assert not answer.is_success or NEEDS[method, path] is None
        assert "access_token" not in answer.text
        assert clinic.paul.id not in answer.text


def test_cve_2026_48077_openreception_a_sibling_method(clinic: Clinic) -> None:
    by_path: dict[str, set[str]] = {}
    for method, path, _ in routes():
        by_path.setdefault(path, set()).add(method)
    for path, methods in by_path.items():
        refused = {clinic.nobody.sends(method, path.replace("{id}", clinic.paul.id)).status_code for method in methods}
        assert refused == {401} or all(NEEDS[method, path] is None for method in methods)


def test_cve_2026_111312_openhealth_a_record_without_a_session(clinic: Clinic) -> None:
    consultation = held_consultation(clinic)
    prescription = clinic.dora.prescribes(consultation, expect=201).json()
    for path in (f"/consultations/{consultation['id']}", f"/prescriptions/{prescription['id']}"):
        clinic.nobody.gets(path, expect=401)


def test_cve_2026_31824_sylius_a_limit_that_is_read_and_then_written(postgres: Any) -> None:
    with apart(postgres, "sylius", bookings_ahead_max=1) as (clinic, _):
        slots = [clinic.dora.offers() for _ in range(20)]
        assert clinic.paul.id
        with concurrent.futures.ThreadPoolExecutor(len(slots)) as pool:
            told = list(pool.map(lambda slot: clinic.paul.books(slot).status_code, slots))
    assert sorted(told) == [201] + [409] * 19


def test_cve_2025_6004_vault_another_spelling_of_the_name(postgres: Any) -> None:
    with apart(postgres, "vault", rate_limits="on") as (clinic, _):
        spellings = [
            "petra@clinic.test",
            "PETRA@clinic.test",
            " petra@clinic.test",
            "Petra@CLINIC.test",
            "petra@clinic.test ",
        ]
        told = [_guess(clinic, spelling) for spelling in [*spellings, "pEtRa@clinic.test"]]
    assert told == [401] * 5 + [429]


def _guess(clinic: Clinic, email: str) -> int:
    body = {"email": email, "password": "wrong-plum-tractor", "clinic": clinic.slug}
    return clinic.nobody.posts("/auth/login", body).status_code


def test_cve_2026_43914_vaultwarden_a_door_without_a_limit() -> None:
    doors = {
        (method, path): gate_of(route.endpoint).pace
        for method, path, route in routes()
        if path.startswith("/auth/") and method != "GET"
    }
    harmless = {("POST", "/auth/logout"), ("DELETE", "/auth/sessions/{id}")}
    assert {call for call, pace in doors.items() if pace is not Pace.STRICT} == harmless


def test_cve_2026_25050_vendure_an_early_return(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[bytes] = []
    hashed = Hasher.hashed

    def noted(self: Hasher, password: bytes, setting: bytes) -> bytes:
        checked.append(setting)
        return hashed(self, password, setting)

    monkeypatch.setattr(Hasher, "hashed", noted)
    known = clinic.paul.email
    checked.clear()
    assert _guess(clinic, known) == _guess(clinic, "nobody-here@clinic.test") == 401
    costs = [stored.split(b"$")[2] for stored in checked]
    assert len(costs) == 2
    assert costs[0] == costs[1]


def test_okta_2024_10_30_a_password_that_does_not_count_to_its_end(clinic: Clinic) -> None:
    password = "p" * (LENGTH_MAX - 1)
    long = clinic.hires("long", role="patient", password=password + "a", email=f"{'l' * 60}@clinic.test")
    body = {"email": long.email, "password": password + "b", "clinic": clinic.slug}
    clinic.nobody.posts("/auth/login", body, expect=401)


def test_cve_2023_7028_gitlab_a_list_of_emails(clinic: Clinic) -> None:
    emails = [clinic.paul.email, "mallory@clinic.test"]
    clinic.nobody.posts("/auth/password/forgot", {"email": emails, "clinic": clinic.slug}, expect=422)
    clinic.nobody.posts("/auth/login", {"email": emails, "password": PASSWORD}, expect=422)
    clinic.nobody.posts("/auth/register", {"email": emails, "password": PASSWORD, "full_name": "M"}, expect=422)
    form = {"username": emails, "password": PASSWORD, "clinic": clinic.slug}
    clinic.nobody.sends("POST", "/auth/token", data=form, expect=422)


@pytest.mark.parametrize("header", [{"crit": ["b64"], "b64": False}, {"crit": ["x"], "x": 1}, {"crit": []}], ids=str)
def test_cve_2026_32597_pyjwt_a_header_that_must_be_understood(clinic: Clinic, header: dict[str, Any]) -> None:
    token = signed(claims_of(clinic.paul), **header)
    clinic.nobody.gets("/users/me", headers={"Authorization": f"Bearer {token}"}, expect=401)


def test_cve_2024_33664_python_jose_a_token_like_a_bomb(clinic: Clinic) -> None:
    token = signed({**claims_of(clinic.paul), "x": "y" * 60_000})
    started = time.perf_counter()
    clinic.nobody.gets("/users/me", headers={"Authorization": f"Bearer {token}"}, expect=401)
    assert time.perf_counter() - started < 1
    other = signed(claims_of(clinic.paul), key=LONG_KEY)
    clinic.nobody.gets("/users/me", headers={"Authorization": f"Bearer {other}"}, expect=401)
    assert SECRET_KEY not in other


def test_cve_2025_62727_starlette_a_thousand_ranges(clinic: Clinic) -> None:
    page = clinic.client.get("/docs").text
    asset = next(part for part in page.split('"') if part.startswith("/docs/static/"))
    ranges = "bytes=" + ",".join(f"{place}-{place}" for place in range(0, 2000, 2))
    started = time.perf_counter()
    answer = clinic.client.get(asset, headers={"Range": ranges})
    assert answer.status_code in (200, 206, 400, 416)
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_cve_2021_32677_fastapi_json_that_says_it_is_text(clinic: Clinic, media_type: str) -> None:
    body = b'{"email": "a@b.test", "password": "x"}'
    clinic.nobody.sends("POST", "/auth/login", content=body, headers={"content-type": media_type}, expect=415)


def test_cve_2025_14546_fastapi_sso_a_state_of_nobody() -> None:
    """There is no login by somebody else's service; with the first one comes its test."""
    words = ("sso", "oauth", "callback", "authorize", "oidc", "saml")
    assert [path for _, path, _ in routes() if any(word in path for word in words)] == []


def test_cve_2026_34359_hapi_fhir_an_address_of_the_callers() -> None:
    """No request names an address that we would call."""
    for operation in operations():
        fields = operation.body_fields() if operation.media_type else []
        fields += operation.parameters("query") + operation.parameters("header")
        assert [field for field in fields if field.schema.get("format") in ("uri", "url")] == []
        names = {str(part) for field in fields for part in field.place}
        assert not names & {"url", "uri", "callback", "webhook", "redirect_uri"}


def test_cve_2023_2455_postgresql_a_plan_of_somebody_elses(clinic: Clinic, as_application: psycopg.Connection) -> None:
    consultation = held(clinic)
    query = "SELECT count(*) FROM consultations WHERE clinic_id = %s AND id = %s"
    for person, seen in ((clinic.paul, 1), (clinic.petra, 0), (clinic.paul, 1)):
        tell(as_application, "patient", clinic.id, person.id)
        for _ in range(7):
            row = as_application.execute(query, [clinic.id, consultation["id"]], prepare=True).fetchone()
            assert row == (seen,)
    assert as_application.info.server_version >= 150_000


def test_hsdd_2316_intersystems_an_empty_list_of_permissions(
    clinic: Clinic, as_application: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/consultations/{held(clinic)['id']}"
    tell(as_application, "", "", "")
    assert as_application.execute("SELECT count(*) FROM consultations").fetchone() == (0,)
    monkeypatch.setitem(rules.PERMISSIONS, rules.Permission.SEE_CONSULTATION, frozenset())
    for person in (clinic.paul, clinic.dora, clinic.amara):
        person.gets(path, expect=403)


def test_devlink_1195_a_key_that_is_nobodys(clinic: Clinic) -> None:
    slot, key = clinic.dora.offers(), fresh_key()
    clinic.paul.books(slot, key=key, expect=201)
    answer = clinic.petra.books(slot, key=key, expect=409)
    assert "idempotency-replayed" not in answer.headers
    assert clinic.paul.id not in answer.text
    clinic.paul.books(clinic.dora.offers(), key=key, expect=422)


def test_page_names_every_advisory_and_no_other() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/advisories.md").read_text()
    named = {line.rsplit("`", 2)[-2] for line in page.splitlines() if line.startswith("| ") and "`test_" in line}
    assert named == {name for name in globals() if name.startswith("test_") and "page_names" not in name}
