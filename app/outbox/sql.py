"""What is due to be delivered; and the months of the outbox, of which functions decide what may be dropped."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, and_, bindparam, func, literal_column, select, tuple_, update

from app.db.schema import Instant, Text, Uuid
from app.db.statement import Statement, compiled
from app.outbox.models import outbox


@dataclass(frozen=True, slots=True)
class DueEvent:
    """An event that one process has taken on to deliver."""

    clinic_id: int
    id: UUID
    created_at: datetime
    topic: str
    entity_id: str
    # This one included.
    attempts: int


def _name(month: str | None) -> str | None:
    return month


def _first(value: UUID) -> UUID:
    return value


# So few that all are tried before one of them is due again. Not a parameter: the planner must know that they are few.
CLAIMED_MAX = 8
# 1, 2, 4 … minutes and then every 6 hours: a server that is away is asked often at first and not for ever. The first
# pause is longer than one attempt may take, so that it is the taker's lease as well.
_PAUSE = func.least(
    literal_column("interval '1 minute'") * func.power(2, func.least(outbox.c.attempts, 10)),
    literal_column("interval '6 hours'"),
)


def _claim_due() -> Statement[DueEvent]:
    """Takes on the longest due events; whoever does not publish one in time leaves it to the next."""
    due = (
        select(outbox.c.clinic_id, outbox.c.id, outbox.c.created_at)
        .where(
            outbox.c.published_at.is_(None),
            outbox.c.due_at <= func.now(),
            outbox.c.topic == func.any(bindparam("topics", type_=ARRAY(Text))),
        )
        .order_by(outbox.c.due_at)
        .limit(literal_column(str(CLAIMED_MAX)))
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    claimed = (
        update(outbox)
        .where(tuple_(outbox.c.clinic_id, outbox.c.id, outbox.c.created_at).in_(select(due)))
        .values(attempts=outbox.c.attempts + 1, due_at=func.now() + _PAUSE)
        .returning(*(outbox.c[name] for name in DueEvent.__dataclass_fields__))
    )
    return compiled("claim_due_events", claimed, DueEvent, is_write=True)


CLAIM_DUE = _claim_due()

PUBLISH = compiled(
    "publish_event",
    update(outbox)
    .where(
        and_(
            outbox.c.clinic_id == bindparam("clinic_id"),
            outbox.c.id == bindparam("event_id", type_=Uuid),
            # Which month it is in.
            outbox.c.created_at == bindparam("event_created_at", type_=Instant),
        ),
        outbox.c.published_at.is_(None),
    )
    .values(published_at=func.now())
    .returning(outbox.c.id),
    _first,
    is_write=True,
)

MAKE_MONTHS = compiled("make_outbox_months", select(func.make_outbox_months()), int, is_write=True)

# One a transaction, so that writers wait for one at most.
DROP_MONTH = compiled("drop_outbox_month", select(func.drop_outbox_month()), _name, is_write=True)
