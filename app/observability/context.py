"""Who is being served right now: set at the door, read by logs and audit."""

from contextvars import ContextVar
from dataclasses import dataclass
from uuid import UUID


@dataclass(slots=True)
class RequestContext:
    """One request: filled in as it passes the doors. `statements` counts the SQL run on its behalf."""

    request_id: str
    method: str = ""
    clinic_id: int | None = None
    actor_id: UUID | None = None
    actor_role: str | None = None
    statements: int = 0


_OUTSIDE = "-"
_current: ContextVar[RequestContext | None] = ContextVar("request_context", default=None)


def enter(context: RequestContext) -> None:
    """Make `context` the one of this task and of the tasks that it starts."""
    _current.set(context)


def current() -> RequestContext | None:
    """The context of the request being served, or `None` outside of one."""
    return _current.get()


def request_id() -> str:
    """The id of the request being served; `-` in jobs and commands."""
    context = _current.get()
    return context.request_id if context else _OUTSIDE


def count_statement() -> None:
    """One SQL statement goes out for the request at hand."""
    context = _current.get()
    if context is not None:
        context.statements += 1
