"""How the town comes about: by what its people do, over HTTP."""

from datetime import UTC, datetime

from starlette.testclient import TestClient

from app.identity.rules import ADMIN, DOCTOR, PATIENT, ROLES, STAFF
from tests.authz.needs import GUARDED, NEEDS, OWN, Call, roles_for
from tests.authz.owned import KINDS, LISTED, Reach
from tests.authz.town import SIDES, STOCK, Principal, Standing, Town, Whose, ids_in
from tests.cast import Clinic, Person, found_clinic
from tests.identity.authenticator import adds_passkey, logs_in_with
from tests.identity.factors import begins, turns_on
from tests.patience import assert_refused_within_a_second

BAD_TOKENS = {
    "nothing": "",
    "empty bearer": "Bearer ",
    "nonsense": "Bearer nonsense",
    "unsigned": "Bearer eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.eyJzdWIiOiJ4In0.",
}


def build(client: TestClient) -> Town:
    """The town, made by its people."""
    town = Town({name: found_clinic(client) for name in ("home", "abroad", "strict")})
    home, abroad = town.clinics["home"], town.clinics["abroad"]
    ada = home.hires("ada", role=ADMIN)
    town.sides = {
        Whose.OWN: {PATIENT: home.paul, DOCTOR: home.dora, ADMIN: home.amara},
        Whose.ANOTHERS: {PATIENT: home.petra, DOCTOR: home.dev, ADMIN: ada},
        Whose.ELSEWHERE: {PATIENT: abroad.paul, DOCTOR: abroad.dora, ADMIN: abroad.amara},
    }
    town.principals = [*_good(town), *_nobodies(home), *_half(town.clinics["strict"]), *_void(home)]
    town.promoted = _promoted(home)
    town.newcomers = _newcomers(home)
    # With an app on, and one that was never confirmed: whom somebody else's app is nothing to.
    town.others_code = turns_on(home.hires("tom", role=PATIENT), datetime.now(UTC))[1][0]
    begins(home.hires("tim", role=PATIENT), datetime.now(UTC))
    for side in SIDES:
        _furnish(town, side)
    # Two looks at everybody's account: what each is told of in their access log.
    for admin in 2 * (home.amara, ada, abroad.amara, abroad.hires("ada", role=ADMIN)):
        admin.gets("/users/", expect=200)
    for side in SIDES:
        _look_around(town, side)
    return town


def _good(town: Town) -> list[Principal]:
    return [Principal(role, person, role, Standing.GOOD) for role, person in town.sides[Whose.OWN].items()]


def _nobodies(clinic: Clinic) -> list[Principal]:
    tokens = {**BAD_TOKENS, "another scheme": f"Basic {clinic.amara.token}", "no scheme": str(clinic.amara.token)}
    bad = [Principal(f"bad token: {name}", clinic.nobody, None, Standing.VOID, token) for name, token in tokens.items()]
    return [Principal("nobody", clinic.nobody, None, Standing.VOID), *bad]


def _half(clinic: Clinic) -> list[Principal]:
    """Of whom their clinic demands a second factor, and who have none."""
    people = {role: clinic.hires(f"half-{role}", role=role) for role in sorted(STAFF)}
    clinic.demands_second_factor(*STAFF)
    return [
        Principal(f"half-authenticated {role}", person.logs_in(), role, Standing.HALF)
        for role, person in people.items()
    ]


def _void(clinic: Clinic) -> list[Principal]:
    found = []
    for role in sorted(ROLES):
        gone, out = (clinic.hires(f"{name}-{role}", role=role) for name in ("deactivated", "logged-out"))
        clinic.amara.patches(f"/users/{gone.id}", {"is_active": False}, expect=200)
        assert out.id
        out.posts("/auth/logout", {"refresh_token": out.refresh_token}, expect=204)
        found += [
            Principal(f"deactivated {role}", gone, role, Standing.VOID),
            Principal(f"logged out {role}", out, role, Standing.VOID),
        ]
    for principal in found:
        assert_refused_within_a_second(principal.person)
    return found


def _promoted(clinic: Clinic) -> tuple[Person, str]:
    doctor = clinic.hires("dorian", role=DOCTOR)
    grant = doctor.has_opened(clinic.petra)
    clinic.amara.patches(f"/users/{doctor.id}", {"role": ADMIN, "specialty": None}, expect=200)
    return doctor.logs_in(), grant["id"]


def _newcomers(clinic: Clinic) -> dict[Call, Person]:
    changing = (call for call in GUARDED if NEEDS[call] is OWN and call[0] != "GET")
    return {
        call: clinic.hires(f"new-{number}", role=PATIENT).in_another_session() for number, call in enumerate(changing)
    }


def _furnish(town: Town, side: Whose) -> None:
    for role, person in town.sides[side].items():
        town.ids["account", side].add(person.id)
        _stock(town, side, role, person)
    for kind in 2 * ("prescription", "consultation", "grant", "slot"):
        town.make(kind, side, PATIENT)


def _stock(town: Town, side: Whose, role: str, person: Person) -> None:
    # Passkeys first: each ends the person's other sessions.
    added = [adds_passkey(person) for _ in range(STOCK["passkey"])]
    town.stock["passkey", side, role] = [(passkey["id"], "") for _, passkey in added]
    for _ in range(STOCK["session"]):
        tokens = logs_in_with(person, added[0][0]).json()
        person_there = Person(person.clinic, email=person.email)
        person_there.token = tokens["access_token"]
        sessions = person_there.gets("/auth/sessions", expect=200).json()["items"]
        [id] = [one["id"] for one in sessions if one["is_current"]]
        town.stock["session", side, role].append((id, tokens["refresh_token"]))


def _look_around(town: Town, side: Whose) -> None:
    """What everybody of this side is told by every list."""
    for role, person in town.sides[side].items():
        for call, kind in LISTED.items():
            if role not in (roles_for(call) or ()) or "{" in call[1]:
                continue
            answers = [
                person.gets(call[1], params={"limit": 100, **params}, expect=200).json() for params in town.views(call)
            ]
            ids = set[str]().union(*map(ids_in, answers))
            if side is Whose.OWN:
                town.told[role] |= ids | {person.id}
            # What admins are told of what is somebody's is the clinic's: no side's own.
            is_anybodys = Reach.OWN not in KINDS[kind].values()
            if KINDS[kind].get(role) is Reach.OWN or is_anybodys or side is Whose.ELSEWHERE:
                town.ids[kind, side] |= ids
