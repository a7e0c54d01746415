"""What is told apart by more than a record's number: sessions by their tokens, answers by their keys."""

import uuid
from collections.abc import Callable, Iterator

from httpx2 import Response

from tests.authz.needs import Call
from tests.authz.owned import KEYED, NAMED, Request, effective
from tests.authz.town import Town, Whose, ids_in
from tests.cast import fresh_key

Check = Callable[[Response], str | None]
Question = tuple[Whose, Callable[[], Request], Check]


def by_token(town: Town, role: str) -> Iterator[Question]:
    """Logging out with a token: every answer is the same, and only one's own session is over."""
    for whose in Whose:
        token = str(uuid.uuid4()) if whose is Whose.ABSENT else town.stock["session", whose, role][2][1]

        def ask(token: str = token) -> Request:
            return {"path": "/auth/logout", "json": {"refresh_token": token}}

        def check(response: Response, whose: Whose = whose, token: str = token) -> str | None:
            if response.status_code != 204:
                return f"{response.status_code}"
            refreshed = town.nobody.posts("/auth/refresh", {"refresh_token": token})
            is_alive = whose in (Whose.ANOTHERS, Whose.ELSEWHERE)
            return None if refreshed.is_success == is_alive else f"refreshed: {refreshed.status_code}"

        yield whose, ask, check


def under_keys(town: Town, call: Call, role: str) -> Iterator[Question]:
    """A key that somebody else used before is a new one; used again, it answers what it answered to oneself."""
    for whose in (Whose.ANOTHERS, Whose.ELSEWHERE):
        pair = _Pair(town, call, role, whose)
        yield whose, pair.first, pair.is_fresh
        yield Whose.OWN, pair.again, pair.is_own


class _Pair:
    """Two who use one key."""

    def __init__(self, town: Town, call: Call, role: str, whose: Whose) -> None:
        self._town, self._call, self._role, self._whose = town, call, role, whose
        self._key = fresh_key()
        self._asked: Request = {}
        self._they_asked: Request = {}
        self._theirs, self._mine = set[str](), set[str]()

    def first(self) -> Request:
        self._they_asked = self._request(self._whose)
        self._theirs = _ids(self._they_ask())
        self._asked = self._request(Whose.OWN)
        return dict(self._asked)

    def is_fresh(self, response: Response) -> str | None:
        self._mine = _ids(response)
        if response.status_code != 201 or "idempotency-replayed" in response.headers or self._mine & self._theirs:
            return f"{response.status_code} {response.text}"
        return None

    def again(self) -> Request:
        return dict(self._asked)

    def is_own(self, response: Response) -> str | None:
        is_replay = response.headers.get("idempotency-replayed") == "true"
        if not is_replay or _ids(response) != self._mine:
            return f"{response.status_code} {response.text}"
        # Of two rows under one key, the first that is found may be one's own.
        return None if _ids(again := self._they_ask()) == self._theirs else f"to the other {again.text}"

    def _they_ask(self) -> Response:
        return self._town.of(self._whose, self._role).sends(self._call[0], **self._they_asked, expect=201)

    def _request(self, whose: Whose) -> Request:
        kind = KEYED[self._call]
        if not kind:
            return {**effective(self._call), "key": self._key}
        return {**NAMED[self._call][0].request(self._town.make(kind, whose, self._role)), "key": self._key}


def _ids(response: Response) -> set[str]:
    return ids_in(response.json())
