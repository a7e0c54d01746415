"""`GET /doctors/` and `GET /doctors/{id}`: the active doctors, for everybody in the clinic."""

import pytest

from tests.cast import Clinic, Person


def names(person: Person, **filters: str) -> list[str]:
    items = person.gets("/doctors/", params=filters, expect=200).json()["items"]
    return [item["full_name"] for item in items]


def hire(clinic: Clinic, *full_names: str, **fields: str) -> None:
    for number, full_name in enumerate(full_names):
        clinic.hires(f"doctor{number}", role="doctor", full_name=full_name, **fields)


@pytest.mark.parametrize("name", ["amara", "dora", "paul"])
def test_everybody_finds_doctors_by_name(clinic: Clinic, name: str) -> None:
    doctors = {person.id: person for person in (clinic.dora, clinic.dev)}
    items = getattr(clinic, name).gets("/doctors/", expect=200).json()["items"]
    assert [item["full_name"] for item in items] == ["Dev Test", "Dora Test"]
    assert {item["id"] for item in items} == set(doctors)
    assert items[0] == {"id": clinic.dev.id, "full_name": "Dev Test", "specialty": "Dermatology"}


def test_patients_and_admins_are_no_doctors(clinic: Clinic) -> None:
    for person in (clinic.paul, clinic.amara):
        clinic.paul.gets(f"/doctors/{person.id}", expect=404)
    assert names(clinic.paul) == []


def test_inactive_doctor_is_hidden(clinic: Clinic) -> None:
    clinic.amara.patches(f"/users/{clinic.dora.id}", {"is_active": False}, expect=200)
    assert names(clinic.paul) == []
    clinic.paul.gets(f"/doctors/{clinic.dora.id}", expect=404)
    clinic.amara.patches(f"/users/{clinic.dora.id}", {"is_active": True}, expect=200)
    assert names(clinic.paul) == ["Dora Test"]


def test_former_doctor_is_hidden(clinic: Clinic) -> None:
    clinic.amara.patches(f"/users/{clinic.dora.id}", {"role": "patient"}, expect=200)
    assert names(clinic.paul) == []
    clinic.paul.gets(f"/doctors/{clinic.dora.id}", expect=404)


def test_q_is_part_of_the_name_without_case(clinic: Clinic) -> None:
    hire(clinic, "Zoë Müller", "Ada Okafor", "Okan Ada")
    assert names(clinic.paul, q="oka") == ["Ada Okafor", "Okan Ada"]
    assert names(clinic.paul, q="MÜLLER") == ["Zoë Müller"]
    assert names(clinic.paul, q="a o") == ["Ada Okafor"]
    assert names(clinic.paul, q="nobody") == []


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("%", ["100% Real"]),
        ("_", ["Under_Score"]),
        ("\\", ["Back\\Slash"]),
        ("\\%", []),
        ("%%", []),
        ("'", ["O'Hara"]),
        ("R_s", ["Under_Score"]),
        ("100%", ["100% Real"]),
        ("100_", []),
        ("DER_SCORE", ["Under_Score"]),
        ("score_", []),
        ("back\\sla", ["Back\\Slash"]),
        ("ack%", []),
        ("hara", ["O'Hara"]),
        ("  ", []),
        ("tor smi", ["Doctor Smith"]),
    ],
)
def test_q_is_taken_literally(clinic: Clinic, q: str, found: list[str]) -> None:
    hire(clinic, "100% Real", "Under_Score", "Back\\Slash", "O'Hara", "Doctor Smith")
    assert names(clinic.paul, q=q) == found


def test_specialty_is_compared_whole_and_without_case(clinic: Clinic) -> None:
    assert clinic.dora
    assert clinic.dev
    assert names(clinic.paul, specialty="dermatology") == ["Dev Test"]
    assert names(clinic.paul, specialty="GENERAL PRACTICE", q="dor") == ["Dora Test"]
    for specialty in ("derma", "%", "Dermatolog_", ""):
        assert names(clinic.paul, specialty=specialty) == []


def test_pages_are_in_the_order_of_names_and_hold_everybody_once(clinic: Clinic) -> None:
    hire(clinic, "Same Name", "Same Name", "Ann First", "Same Name", "Zed Last")
    found, cursor = [], None
    while not found or cursor:
        params = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        answer = clinic.paul.gets("/doctors/", params=params, expect=200).json()
        found += answer["items"]
        cursor = answer["next_cursor"]
    assert [item["full_name"] for item in found] == ["Ann First", *["Same Name"] * 3, "Zed Last"]
    assert len({item["id"] for item in found}) == 5


def test_cursor_of_another_filter_is_400_invalid_cursor(clinic: Clinic) -> None:
    hire(clinic, "Ada One", "Ada Two")
    cursor = clinic.paul.gets("/doctors/?limit=1&q=ada", expect=200).json()["next_cursor"]
    clinic.paul.gets("/doctors/", params={"cursor": cursor, "q": "ada"}, expect=200)
    for filters in ({}, {"q": "Ada"}, {"q": "ada", "specialty": "x"}):
        refused = clinic.paul.gets("/doctors/", params={"cursor": cursor, **filters}, expect=400)
        assert refused.json()["code"] == "invalid_cursor"


@pytest.mark.parametrize("query", ["q=%00", "specialty=%00", f"q={'x' * 201}", "role=doctor", "limit=0"])
def test_bad_query_is_422(clinic: Clinic, query: str) -> None:
    refused = clinic.paul.gets(f"/doctors/?{query}", expect=422)
    assert refused.json()["errors"][0]["field"] == "query." + query.partition("=")[0]


def test_one_doctor_is_read_by_id(clinic: Clinic) -> None:
    doctor = clinic.paul.gets(f"/doctors/{clinic.dora.id}", expect=200).json()
    assert doctor == {"id": clinic.dora.id, "full_name": "Dora Test", "specialty": "General practice"}
    assert clinic.paul.gets(f"/doctors/{clinic.dora.id.upper()}", expect=200).json() == doctor


@pytest.mark.parametrize("id", ["1", "me", "%00", "0198c0de7a3f7c119d2e5b1f0a6c4e21"])
def test_malformed_id_is_404(clinic: Clinic, id: str) -> None:
    assert clinic.paul.gets(f"/doctors/{id}", expect=404).json()["code"] == "not_found"


def test_without_a_token_it_is_401(clinic: Clinic) -> None:
    clinic.nobody.gets("/doctors/", expect=401)
    clinic.nobody.gets(f"/doctors/{clinic.dora.id}", expect=401)
