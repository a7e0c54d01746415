"""The cells: operation × principal × whose record × method, what each must answer, and whether it does.

Of each operation of the OpenAPI document. What a cell expects comes from the tables in `needs.py` and `owned.py`; the
contract's answers are 401, 403, 404 byte for byte as for what is not there, and 405 with the methods that there are.
"""

import re
import uuid
from collections.abc import Callable, Iterator
from functools import partial

from httpx2 import Response

from app.identity.rules import ADMIN, DOCTOR, PATIENT
from tests.authz.cells import (
    ABSENT,
    FORBIDDEN,
    HALF,
    LET,
    LIKE_ABSENT,
    NO_SUCH_METHOD,
    OTHERS_CODE,
    OTHERS_CURSOR,
    TAKEN,
    UNAUTHENTICATED,
    Answer,
    Broken,
    Cell,
)
from tests.authz.deeds import deed, others_code
from tests.authz.keyed import by_token, under_keys
from tests.authz.needs import ENROLLING, NEEDS, Call, roles_for
from tests.authz.owned import BY_TOKEN, KEYED, KINDS, LISTED, NAMED, NUMBERED, Named, Reach, Request, effective
from tests.authz.town import SIDES, Principal, Standing, Town, Whose, ids_in
from tests.cast import Person, fresh_key

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE")
_PERSON_FILTERS = {"patient_id": PATIENT, "doctor_id": DOCTOR, "actor_id": ADMIN}


def cells_of(town: Town, call: Call) -> Iterator[Cell]:
    """Every cell of an operation."""
    for principal in town.principals:
        expected = _at_gate(call, principal)
        if call in NAMED:
            for named in NAMED[call]:
                yield from _naming(town, call, principal, named=named, at_gate=expected)
        else:
            ask = partial(effective, call) if expected is FORBIDDEN else partial(dict, path=call[1])
            yield Cell(call, principal, None, ask, expected)
        if principal.standing is Standing.GOOD and expected is LET and roles_for(call):
            yield from _more(town, call, principal)
    if call in _SPECIAL:
        yield _SPECIAL[call](town, call)
    if found := deed(town, call):
        yield Cell(call, found[0], Whose.OWN, found[1], LET, "done", check=_is_done)


def _is_done(response: Response) -> str | None:
    if not response.is_success:
        raise Broken(f"{response.status_code} {response.text[:80]}")
    return None


def _at_gate(call: Call, principal: Principal) -> Answer:
    roles = roles_for(call)
    if roles is None:
        return LET
    if principal.standing is Standing.VOID:
        return UNAUTHENTICATED
    if principal.role not in roles:
        return FORBIDDEN
    if principal.standing is Standing.HALF and call not in ENROLLING:
        return HALF
    return LET


def _naming(town: Town, call: Call, principal: Principal, *, named: Named, at_gate: Answer) -> Iterator[Cell]:
    """A record of each side, and one that nobody has."""
    kind, role = named.kind, principal.role or PATIENT
    # Whoever may not do it at all, may not whatever they name.
    owner = role if role in KINDS[kind] else min(KINDS[kind])

    def nobodys() -> Request:
        return named.request(str(2**62) if kind in NUMBERED else str(uuid.uuid4()))

    for whose in Whose:
        expected = at_gate if at_gate is not LET else _beyond_gate(named, role, whose)
        # Who is let may change it: that one is nobody else's cell.
        find = town.make if expected is LET and call[0] != "GET" else town.record
        ask = nobodys if whose is Whose.ABSENT else partial(_ask_for, find, named, whose, owner)
        check = partial(_tells_another, town, LISTED.get(call, kind), role) if expected is LET else None
        yield Cell(call, principal, whose, ask, expected, named.label, nobodys, check)


def _ask_for(find: Callable[[str, Whose, str], str], named: Named, whose: Whose, owner: str) -> Request:
    return named.request(find(named.kind, whose, owner))


def _beyond_gate(named: Named, role: str, whose: Whose) -> Answer:
    if whose is Whose.ABSENT:
        return ABSENT
    is_seen = whose is Whose.OWN or (whose is Whose.ANOTHERS and KINDS[named.kind][role] is Reach.CLINIC)
    if not is_seen:
        return LIKE_ABSENT
    return FORBIDDEN if role in named.not_for else LET


def _tells_another(town: Town, kind: str, role: str, response: Response) -> str | None:
    """Whether an answer that was given tells of a record of this kind that it must not."""
    ids = ids_in(response.json()) if response.content else set()
    return f"tells {foreign}" if (foreign := ids & town.foreign(kind, role)) else None


def _more(town: Town, call: Call, principal: Principal) -> Iterator[Cell]:
    """What there is to whoever is let beside a record's number."""
    assert principal.role
    if call in LISTED:
        next_page = partial(_next_page, town, call, principal.role)
        yield Cell(call, principal, Whose.ANOTHERS, next_page, OTHERS_CURSOR, "cursor")
        if call not in NAMED:
            yield from _listing(town, call, principal, role=principal.role)
    if call in BY_TOKEN:
        for whose, ask, check in by_token(town, principal.role):
            is_anothers = whose in SIDES[1:]
            yield Cell(call, principal, whose, ask, LET, "token", check=check, withholds=is_anothers)
    if call in KEYED:
        for whose, ask, check in under_keys(town, call, principal.role):
            yield Cell(call, principal, whose, ask, LET, "key", check=check)


def _listing(town: Town, call: Call, principal: Principal, *, role: str) -> Iterator[Cell]:
    """A list, and each way to ask for it: all of one's own, nothing of another's."""
    kind = LISTED[call]
    for whose in SIDES:
        is_told = whose is Whose.OWN or (whose is Whose.ANOTHERS and KINDS[kind][role] is Reach.CLINIC)
        for params in town.views(call) if not is_told else [{}]:
            label = " ".join(["list", *params.values()])
            ask = partial(dict, path=call[1], params={"limit": 100, **params})
            check = partial(_tells_all_or_none, town, call, role, whose, is_told)
            yield Cell(call, principal, whose, ask, LET, label, check=check, withholds=not is_told)
    for name in town.parameters(call) & _PERSON_FILTERS.keys():
        stranger = town.of(Whose.ELSEWHERE, _PERSON_FILTERS[name]).id
        ask = partial(dict, path=call[1], params={name: stranger})
        yield Cell(call, principal, Whose.ELSEWHERE, ask, LET, name, check=_tells_anything, withholds=True)


def _tells_all_or_none(
    town: Town,
    call: Call,
    role: str,
    whose: Whose,
    is_told: bool,
    response: Response,
) -> str | None:
    told = ids_in(response.json())
    if whose is not Whose.OWN:
        # Now, too: of a list that grows, what was told before is not on the first page any more.
        told &= _told_to(town.of(whose, role), call) | (set() if is_told else town.ids[LISTED[call], whose])
    return None if bool(told) == is_told else f"tells {told or 'nothing'}"


def _next_page(town: Town, call: Call, role: str) -> Request:
    """From another's page on."""
    path = call[1].replace("{id}", town.of(Whose.ANOTHERS, PATIENT).id)
    page = town.of(Whose.ANOTHERS, role).gets(path, params={"limit": 1}, expect=200).json()
    assert page["next_cursor"], "one page has no next one"
    return {"path": path, "params": {"limit": 1, "cursor": page["next_cursor"]}}


def _told_to(person: Person, call: Call) -> set[str]:
    return ids_in(person.gets(call[1], params={"limit": 100}, expect=200).json())


def _tells_anything(response: Response) -> str | None:
    return f"tells {found}" if (found := ids_in(response.json())) else None


def _own_grant(town: Town, call: Call) -> Cell:
    """Nobody reviews what they did themselves, not even once they are an admin."""
    assert town.promoted
    person, grant_id = town.promoted
    principal = Principal("admin who was the doctor", person, ADMIN, Standing.GOOD)
    return Cell(call, principal, Whose.OWN, partial(NAMED[call][0].request, grant_id), FORBIDDEN)


def _others_code(town: Town, call: Call) -> Cell:
    principal, ask = others_code(town)
    return Cell(call, principal, Whose.ANOTHERS, ask, OTHERS_CODE, "code")


def _new_account(town: Town, call: Call) -> Cell:
    """In the admin's clinic, and no other."""
    principal = Principal(ADMIN, town.of(Whose.OWN, ADMIN), ADMIN, Standing.GOOD)
    return Cell(call, principal, None, partial(effective, call), LET, "done", check=_is_done)


def _taken_slot(town: Town, call: Call) -> Cell:
    """Who has it is not told, nor where."""
    principal = Principal(PATIENT, town.of(Whose.OWN, PATIENT), PATIENT, Standing.GOOD)

    def ask() -> Request:
        slot = town.of(Whose.ANOTHERS, DOCTOR).offers()
        town.of(Whose.ANOTHERS, PATIENT).has_booked(slot)
        return {"path": call[1], "json": {"slot_id": slot["id"]}, "key": fresh_key()}

    return Cell(call, principal, Whose.ANOTHERS, ask, TAKEN, "taken", check=_tells_location)


def _tells_location(response: Response) -> str | None:
    return response.headers.get("location")


_SPECIAL: dict[Call, Callable[[Town, Call], Cell]] = {
    ("DELETE", "/auth/mfa/totp"): _others_code,
    ("POST", "/bookings/"): _taken_slot,
    ("POST", "/break-glass/{id}/review"): _own_grant,
    ("POST", "/users/"): _new_account,
}


def other_methods(town: Town, path: str) -> Iterator[Cell]:
    """The methods that an address does not have: it tells those that it has, whoever asks."""
    address = path.replace("{id}", str(uuid.uuid4()))
    # `/users/me` is an address of `/users/{id}` too.
    allowed = {method for method, template in NEEDS if re.fullmatch(template.replace("{id}", "[^/]+"), address)}

    def check(response: Response) -> str | None:
        told = response.headers["allow"]
        return None if told == ", ".join(sorted(allowed)) else f"allows {told}"

    for method in METHODS:
        if method not in allowed:
            for principal in town.one_of_each:
                yield Cell((method, path), principal, None, partial(dict, path=address), NO_SUCH_METHOD, check=check)
