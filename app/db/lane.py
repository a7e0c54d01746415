"""One at a time, and who takes long steps aside."""

import asyncio
import math
from collections.abc import Callable

# What takes longer does not keep the others waiting.
LATE_S = 0.1


class Lane:
    """Tells who may set out: one, until it is back or late (docs/decisions/0028).

    `go` is called when the next may, `late` before that if somebody took too long. However late they are, no more than
    `most` are under way.
    """

    def __init__(
        self, go: Callable[[], None], *, late: Callable[[], None] = lambda: None, most: float = math.inf
    ) -> None:
        self._go = go
        self._late = late
        self._most = most
        self._ahead: object | None = None
        self._under_way: set[object] = set()

    @property
    def is_free(self) -> bool:
        """Whether somebody may set out."""
        return self._ahead is None and len(self._under_way) < self._most

    def enter(self) -> object:
        """Set out; whoever does comes back with what they get here."""
        self._ahead = ticket = object()
        self._under_way.add(ticket)
        asyncio.get_running_loop().call_later(LATE_S, self._look_after, ticket)
        return ticket

    def leave(self, ticket: object) -> None:
        """Be back."""
        self._under_way.discard(ticket)
        self._step_aside(ticket)

    def _look_after(self, ticket: object) -> None:
        if self._ahead is ticket:
            self._late()
            self._step_aside(ticket)

    def _step_aside(self, ticket: object) -> None:
        if self._ahead is ticket:
            self._ahead = None
        self._go()
