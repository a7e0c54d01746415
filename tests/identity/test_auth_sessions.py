"""`/auth/sessions`: where somebody is logged in, and ending one of those sessions."""

from typing import Any

import psycopg

from tests.cast import Clinic, Person
from tests.patience import assert_refused_within_a_second


def sessions(person: Person, **query: Any) -> list[dict[str, Any]]:
    return list(person.gets("/auth/sessions", params=query, expect=200).json()["items"])


def test_sessions_are_listed_newest_first_and_this_one_is_marked(clinic: Clinic) -> None:
    phone = clinic.paul
    tablet, laptop = phone.in_another_session(), phone.in_another_session()
    for person, place in ((laptop, 0), (tablet, 1), (phone, 2)):
        assert [one["is_current"] for one in sessions(person)] == [at == place for at in range(3)]
    [newest, *_] = sessions(phone)
    assert set(newest) == {"id", "created_at", "refreshed_at", "expires_at", "is_current"}
    assert newest["created_at"] <= newest["refreshed_at"] < newest["expires_at"]


def test_pages_follow_each_other(clinic: Clinic) -> None:
    for _ in range(2):
        clinic.paul.in_another_session()
    first = clinic.paul.gets("/auth/sessions", params={"limit": 2}, expect=200).json()
    second = clinic.paul.gets("/auth/sessions", params={"limit": 2, "cursor": first["next_cursor"]}, expect=200).json()
    assert [*first["items"], *second["items"]] == sessions(clinic.paul)
    assert second["next_cursor"] is None


def test_refreshing_is_seen(clinic: Clinic) -> None:
    [before] = sessions(clinic.paul)
    clinic.paul.posts("/auth/refresh", {"refresh_token": clinic.paul.refresh_token}, expect=200)
    [after] = sessions(clinic.paul)
    assert after["id"] == before["id"]
    assert after["refreshed_at"] > before["refreshed_at"]


def test_ended_and_expired_sessions_are_not_listed(clinic: Clinic, owner: psycopg.Connection[Any]) -> None:
    lost, old = clinic.paul.in_another_session(), clinic.paul.in_another_session()
    lost.posts("/auth/logout", {"refresh_token": lost.refresh_token}, expect=204)
    [gone] = [one["id"] for one in sessions(old) if one["is_current"]]
    owner.execute(
        "UPDATE refresh_tokens SET expires_at = now() - interval '1 s' WHERE clinic_id = %s AND session_id = %s",
        [clinic.id, gone],
    )
    assert [one["is_current"] for one in sessions(clinic.paul)] == [True]


def test_sessions_of_others_are_not_listed(clinic: Clinic) -> None:
    assert clinic.petra
    assert len(sessions(clinic.paul)) == len(sessions(clinic.amara)) == 1


def test_lost_phone_is_logged_out_from_elsewhere_within_a_second(clinic: Clinic) -> None:
    lost = clinic.paul.in_another_session()
    [id_] = [one["id"] for one in sessions(lost) if one["is_current"]]
    clinic.paul.deletes(f"/auth/sessions/{id_}", expect=204)
    assert_refused_within_a_second(lost)
    answer = lost.clinic.nobody.posts("/auth/refresh", {"refresh_token": lost.refresh_token})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
    assert [one["is_current"] for one in sessions(clinic.paul)] == [True]
    [row] = clinic.amara.audit_rows(entity_type="session", entity_id=id_)
    assert (row["action"], row["actor_id"]) == ("session.ended", clinic.paul.id)


def test_session_that_is_over_cannot_be_ended_again(clinic: Clinic) -> None:
    lost = clinic.paul.in_another_session()
    [id_] = [one["id"] for one in sessions(lost) if one["is_current"]]
    clinic.paul.deletes(f"/auth/sessions/{id_}", expect=204)
    assert clinic.paul.deletes(f"/auth/sessions/{id_}").json()["code"] == "not_found"
