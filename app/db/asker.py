"""On whose behalf a statement runs: what row-level security decides by (docs/decisions/0015).

It comes from the verified token alone, not from what an endpoint passes on, so that a check that was forgotten there
is not forgotten here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

from sqlalchemy import bindparam, func, select, true

from app.db.schema import Text
from app.db.statement import compiled, constant
from app.observability import context


@dataclass(frozen=True, slots=True)
class Asker:
    """A role, the number of a clinic, and the ids of users: one, or those whose calls share a statement."""

    role: str
    clinic: str = ""
    actors: frozenset[str] = frozenset()

    def values(self) -> dict[str, str]:
        """For `TELL`."""
        actors = ",".join(self.actors)
        return {"asker_role": self.role, "asker_clinic": self.clinic, "asker_actors": f"{{{actors}}}"}


# Jobs and commands, and who has shown no token yet.
SYSTEM, STRANGER = Asker("system"), Asker("stranger")
# Whose calls share a statement although their roles differ: they see what everybody sees, and their own.
MIXED = "mixed"


def present() -> Asker:
    """Whoever is being served at this moment."""
    served = context.current()
    if served is None:
        return SYSTEM
    if served.actor_id is None or served.actor_role is None:
        return STRANGER
    return Asker(served.actor_role, str(served.clinic_id), frozenset({str(served.actor_id)}))


def all_of(askers: Iterable[Asker]) -> Asker:
    """All of them, who are of one clinic."""
    return reduce(_both, askers)


def _both(one: Asker, other: Asker) -> Asker:
    role = one.role if one.role == other.role else MIXED
    return Asker(role, one.clinic, one.actors | other.actors)


def _none(*_: str) -> None:
    return None


# Until the end of the transaction, which is the statement that it travels with.
TELL = compiled(
    "tell_asker",
    select(
        *(
            func.set_config(constant(f"telemed.{name}"), bindparam(f"asker_{name}", type_=Text), true())
            for name in ("role", "clinic", "actors")
        )
    ),
    _none,
    is_write=True,
)
