"""`GET /users/`: the clinic's accounts, for its admin, page by page."""

from typing import Any

import pytest

from tests.cast import PASSWORD, Clinic, Person


def emails(person: Person, **filters: str) -> list[str]:
    items = person.gets("/users/", params=filters, expect=200).json()["items"]
    return [item["email"].partition("@")[0] for item in items]


def hire(clinic: Clinic, *names: str) -> None:
    for name in names:
        body = {"email": f"{name}@clinic.test", "password": PASSWORD, "full_name": name, "role": "patient"}
        clinic.amara.posts("/users/", body, expect=201)


def page(person: Person, cursor: str | None = None, **query: Any) -> dict[str, Any]:
    params = {**query, **({"cursor": cursor} if cursor is not None else {})}
    return dict(person.gets("/users/", params=params, expect=200).json())


def pages(person: Person, **query: Any) -> list[list[str]]:
    cursor, found = None, []
    while not found or cursor:
        answer = page(person, cursor, **query)
        found.append([item["email"].partition("@")[0] for item in answer["items"]])
        cursor = answer["next_cursor"]
    return found


def test_admin_sees_everybody_oldest_first(clinic: Clinic) -> None:
    for person in (clinic.dora, clinic.paul, clinic.dev):
        assert person.token
    assert emails(clinic.amara) == ["amara", "dora", "paul", "dev"]


def test_users_are_filtered_by_role(clinic: Clinic) -> None:
    for person in (clinic.dora, clinic.paul, clinic.dev):
        assert person.token
    assert emails(clinic.amara, role="doctor") == ["dora", "dev"]
    assert emails(clinic.amara, role="patient") == ["paul"]
    assert emails(clinic.amara, role="admin") == ["amara"]


def test_users_are_filtered_by_activity(clinic: Clinic) -> None:
    clinic.amara.patches(f"/users/{clinic.paul.id}", {"is_active": False}, expect=200)
    assert emails(clinic.amara, is_active="false") == ["paul"]
    assert emails(clinic.amara, is_active="true") == ["amara"]
    assert emails(clinic.amara, is_active="true", role="patient") == []


def test_users_are_filtered_by_email_as_emails_are_compared(clinic: Clinic) -> None:
    assert clinic.paul
    for email in ("paul@clinic.test", " PAUL@clinic.test "):
        assert emails(clinic.amara, email=email) == ["paul"]
    for email in ("paul", "%", "paul@clinic.tes_", ""):
        assert emails(clinic.amara, email=email) == []


@pytest.mark.parametrize(
    "query",
    [
        "role=nurse",
        "is_active=1",
        "is_active=True",
        "is_active=",
        "email=%00",
        "limit=0",
        "limit=101",
        "limit=ten",
        "limit=",
        "limit=1.0",
        "limit=99999999999999999999",
        "page=2",
        "role=doctor&role=admin",
    ],
)
def test_bad_query_is_422(clinic: Clinic, query: str) -> None:
    refused = clinic.amara.gets(f"/users/?{query}", expect=422)
    assert refused.json()["errors"][0]["field"] == "query." + query.partition("=")[0]


def test_pages_hold_everybody_once(clinic: Clinic) -> None:
    hire(clinic, "b", "c", "d", "e")
    assert pages(clinic.amara, limit=2) == [["amara", "b"], ["c", "d"], ["e"]]
    assert pages(clinic.amara, limit=5) == [["amara", "b", "c", "d", "e"]]
    assert pages(clinic.amara, limit=2, role="patient") == [["b", "c"], ["d", "e"]]


def test_pages_are_stable_while_people_join(clinic: Clinic) -> None:
    hire(clinic, "b", "c", "d")
    first = page(clinic.amara, limit=2)
    hire(clinic, "e")
    second = page(clinic.amara, first["next_cursor"], limit=2)
    third = page(clinic.amara, second["next_cursor"], limit=2)
    assert [item["full_name"] for item in second["items"] + third["items"]] == ["c", "d", "e"]


def test_limit_may_change_between_pages(clinic: Clinic) -> None:
    hire(clinic, "b", "c", "d")
    first = page(clinic.amara, limit=1)
    assert [item["full_name"] for item in page(clinic.amara, first["next_cursor"])["items"]] == ["b", "c", "d"]


def test_damaged_cursor_is_400_invalid_cursor(clinic: Clinic) -> None:
    hire(clinic, "b", "c")
    cursor = page(clinic.amara, limit=1)["next_cursor"]
    other = "A" if cursor[-1] != "A" else "B"
    flipped = [cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :] for place in (0, 30)]
    for damaged in ("", "x", "é", "=", cursor[:-1], cursor + "A", cursor + "=", cursor[:-1] + other, *flipped):
        refused = clinic.amara.gets("/users/", params={"cursor": damaged, "limit": 1}, expect=400)
        assert refused.json()["code"] == "invalid_cursor"
    page(clinic.amara, cursor, limit=1)


def test_cursor_of_another_list_filter_or_caller_is_400_invalid_cursor(clinic: Clinic, elsewhere: Clinic) -> None:
    hire(clinic, "b", "c")
    cursor = page(clinic.amara, limit=1)["next_cursor"]
    clinic.hires("alex", role="admin")
    alex = Person(clinic, email="alex@clinic.test").logs_in()
    refusals = [
        clinic.amara.gets("/doctors/", params={"cursor": cursor}),
        clinic.amara.gets("/audit-logs/", params={"cursor": cursor}),
        clinic.amara.gets("/users/", params={"cursor": cursor, "role": "patient"}),
        clinic.amara.gets("/users/", params={"cursor": cursor, "is_active": "true"}),
        alex.gets("/users/", params={"cursor": cursor}),
        elsewhere.amara.gets("/users/", params={"cursor": cursor}),
    ]
    assert [(refusal.status_code, refusal.json()["code"]) for refusal in refusals] == [(400, "invalid_cursor")] * 6


def test_users_of_another_clinic_are_not_listed(clinic: Clinic, elsewhere: Clinic) -> None:
    assert elsewhere.paul
    assert emails(clinic.amara) == ["amara"]
    assert emails(clinic.amara, email="paul@clinic.test") == []


@pytest.mark.parametrize("name", ["dora", "paul"])
def test_nobody_else_lists_users(clinic: Clinic, name: str) -> None:
    person = getattr(clinic, name)
    assert person.gets("/users/", expect=403).json()["code"] == "forbidden"
    assert person.gets("/users/?bogus=1", expect=403).json()["code"] == "forbidden"
    rows = clinic.amara.audit_rows(action="request.denied", actor_id=person.id)
    assert [row["details"] for row in rows] == [{"method": "GET", "route": "/users/"}] * 2


def test_without_a_token_it_is_401(clinic: Clinic) -> None:
    clinic.nobody.gets("/users/", expect=401)


def test_list_leaves_a_row_for_each_other_person_on_the_page(clinic: Clinic) -> None:
    people = {clinic.dora.id, clinic.paul.id}
    clinic.amara.gets("/users/?limit=3&is_active=true", expect=200)
    rows = clinic.amara.audit_rows(action="user.listed")
    assert {id for row in rows for id in row["details"]["ids"]} == people
    assert len(rows) == len(people)
    assert {row["actor_id"] for row in rows} == {clinic.amara.id}
    assert [access["action"] for access in clinic.paul.accesses()] == ["user.listed", "user.created"]


def test_audit_row_of_a_search_says_by_what_and_not_for_whom(clinic: Clinic) -> None:
    clinic.amara.gets("/users/", params={"email": "nobody@clinic.test"}, expect=200)
    [row] = clinic.amara.audit_rows(action="user.listed")
    assert row["details"] == {"filters": ["email"]}
