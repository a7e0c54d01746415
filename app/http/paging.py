"""Keyset pages: stable while rows are inserted, sealed to the list, its filters and its caller."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Request, Response
from pydantic import Field

from app.http.fields import Answer, LimitText, Query, instants_respelt
from app.http.strict import JSON_MEDIA_TYPE
from app.kit import cursors

Item = TypeVar("Item")
Row = TypeVar("Row")

LIMIT_DEFAULT = 50


class PageQuery(Query):
    """The two parameters that every list takes."""

    limit: Annotated[LimitText, Field(description="How many items, 1 to 100.")] = LIMIT_DEFAULT
    cursor: Annotated[str | None, Field(description="`next_cursor` of the page before, with the same filters.")] = None


class Page(Answer, Generic[Item]):
    """One page of a list; `next_cursor` is null on the last one."""

    items: list[Item]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Scroll:
    """Where in which list a caller stands. `position` is empty on the first page."""

    key: bytes
    scope: dict[str, object]
    limit: int
    position: tuple[str, ...]

    @property
    def rows_wanted(self) -> int:
        """One more than the page holds, to know whether there is a next one."""
        return self.limit + 1

    def page(self, rows: Sequence[Row], position_of: Callable[[Row], Sequence[object]]) -> dict[str, object]:
        """The page made of `rows`, which may be one more than fit."""
        items, next_cursor = self._cut(rows, position_of)
        return {"items": items, "next_cursor": next_cursor}

    def spelt(self, rows: Sequence[str], position_of: Callable[[dict[str, Any]], Sequence[object]]) -> Response:
        """The page made of JSON objects as PostgreSQL spells them, as it is sent (docs/decisions/0030).

        They hold no text that somebody wrote.
        """
        items, next_cursor = self._cut(rows, lambda last: position_of(json.loads(last)))
        listed = instants_respelt(",".join(items))
        return Response(f'{{"items":[{listed}],"next_cursor":{json.dumps(next_cursor)}}}', media_type=JSON_MEDIA_TYPE)

    def _cut(
        self, rows: Sequence[Row], position_of: Callable[[Row], Sequence[object]]
    ) -> tuple[Sequence[Row], str | None]:
        """The items that fit, and where to go on."""
        items = rows[: self.limit]
        if len(rows) <= self.limit:
            return items, None
        position = [str(part) for part in position_of(items[-1])]
        return items, cursors.seal(self.key, scope=self.scope, position=position)


def scroll(request: Request, query: PageQuery, *, name: str, caller: object, parts: int) -> Scroll:
    """Where the caller of the list `name` stands. Raises `InvalidCursor`."""
    key: bytes = request.app.state.cursor_key
    scope = {
        "list": name,
        "caller": str(caller),
        **query.model_dump(mode="json", exclude={"limit", "cursor"}),
    }
    position: tuple[str, ...] = ()
    if query.cursor is not None:
        position = tuple(cursors.open_sealed(key, query.cursor, scope=scope, parts=parts))
    return Scroll(key, scope, query.limit, position)
