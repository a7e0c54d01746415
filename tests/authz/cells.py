"""What a cell is: a question of somebody's to the application, the answer that it must get, and what was found."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg
from httpx2 import Response

from tests.authz.deeds import rows_of_others
from tests.authz.needs import Call, roles_for
from tests.authz.owned import LISTED, NAMED, Request
from tests.authz.town import Principal, Standing, Town, Whose

SHOWN = 220
# The cell whose question is being answered at this moment, if one is.
ASKED: list["Cell"] = []
_SAME_ID = {"x-request-id": "the-same-request"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What is expected; without a status: whatever says that the gate was passed."""

    name: str
    status: int | None = None
    code: str | None = None

    def fits(self, response: Response) -> bool:
        if self.status is None:
            return response.status_code not in (401, 403, 404, 405) and response.status_code < 500
        return response.status_code == self.status and self.code in (None, _code_of(response))


LET = Answer("let")
UNAUTHENTICATED = Answer("unauthenticated", 401, "unauthenticated")
FORBIDDEN = Answer("forbidden", 403, "forbidden")
HALF = Answer("second factor required", 403, "second_factor_required")
ABSENT = Answer("absent", 404)
LIKE_ABSENT = Answer("like absent", 404)
NO_SUCH_METHOD = Answer("no such method", 405)
OTHERS_CURSOR = Answer("another's cursor", 400, "invalid_cursor")
OTHERS_CODE = Answer("another's code", 401, "otp_invalid")
TAKEN = Answer("taken by another", 409, "slot_unavailable")


@dataclass(frozen=True, slots=True)
class Cell:
    """One question to the application, and its answer.

    `absent` is the same question about what nobody has; `check` looks closer at an answer of the right status, and
    `withholds` says that it looks for what must not be told or done.
    """

    call: Call
    principal: Principal
    whose: Whose | None
    request: Callable[[], Request]
    expected: Answer
    label: str = ""
    absent: Callable[[], Request] | None = None
    check: Callable[[Response], str | None] | None = None
    withholds: bool = False

    def __str__(self) -> str:
        words = (*self.call, self.label, "by", self.principal.name, *(("of", self.whose.value) if self.whose else ()))
        return " ".join(word for word in words if word)

    @property
    def is_forbidden(self) -> bool:
        """Whether the token is good and the deed is not: wrong role, wrong owner, wrong clinic."""
        is_refused = self.withholds or self.expected in (FORBIDDEN, LIKE_ABSENT)
        return self.principal.standing is Standing.GOOD and is_refused

    @property
    def kind(self) -> str | None:
        """Of the records that the answer tells."""
        named = NAMED.get(self.call)
        return LISTED.get(self.call) or (named[0].kind if named else None)

    def send(self, request: Request, **headers: str) -> Response:
        """The answer to the cell's own question; what others do for it is no part of it."""
        ASKED.append(self)
        try:
            return self.principal.sends(self.call[0], request, headers)
        finally:
            ASKED.pop()


@dataclass
class Findings:
    """How many cells were tried, by what they expect, and which were wrong: not refused, or only broken.

    `owner` looks into the tables, whether what somebody may do reaches anybody else.
    """

    town: Town
    owner: psycopg.Connection
    tried: Counter[str] = field(default_factory=Counter)
    open: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        return self.open + self.broken

    def look_at(self, cell: Cell) -> None:
        self.tried[cell.expected.name] += 1
        try:
            request = cell.request()
        except AssertionError as error:
            # The cast asserts what the cell needs.
            self.broken.append(f"{cell}: could not be asked: {error}"[:SHOWN])
            return
        try:
            if problem := self._reach(cell, request):
                self.open.append(f"{cell}: {problem}"[:SHOWN])
        except (AssertionError, Broken) as error:
            self.broken.append(f"{cell}: {error}"[:SHOWN])

    def _reach(self, cell: Cell, request: Request) -> str | None:
        if cell.expected is not LET or cell.call[0] == "GET" or not roles_for(cell.call):
            return _problem(cell, request)
        place = (self.owner, self.town, cell.call, cell.principal.person)
        before = rows_of_others(*place)
        problem = _problem(cell, request)
        changed = [table for table, rows in rows_of_others(*place).items() if rows != before[table]]
        return problem or (f"changes others' {', '.join(changed)}" if changed else None)


class Broken(Exception):
    """Somebody was not let, or not answered, who must be: wrong, and harmless."""


def _problem(cell: Cell, request: Request) -> str | None:
    if cell.expected is LIKE_ABSENT:
        return _differs_from_absent(cell, request)
    response = cell.send(request)
    if not cell.expected.fits(response):
        problem = f"{response.status_code} {response.text[:80]} instead of {cell.expected.name}"
        if cell.expected is LET:
            raise Broken(problem)
        return problem
    return cell.check(response) if cell.check else None


def _differs_from_absent(cell: Cell, request: Request) -> str | None:
    """Byte for byte, headers too."""
    assert cell.absent
    refused, absent = (cell.send(one, **_SAME_ID) for one in (request, cell.absent()))
    if not cell.expected.fits(refused):
        return f"{refused.status_code} {refused.text[:80]} instead of {cell.expected.name}"
    is_same = (refused.content, refused.headers) == (absent.content, absent.headers)
    return None if is_same else f"{refused.text} differs from {absent.text}"


def _code_of(response: Response) -> str | None:
    return response.json().get("code") if response.content else None
