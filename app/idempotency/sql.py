"""The questions that are asked about a key once it was used."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import LargeBinary, and_, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert

from app.db.schema import Text, Uuid
from app.db.statement import Statement, Together, compiled, locking_calls
from app.idempotency.models import idempotency_keys as keys
from app.idempotency.rules import ANSWER_KEPT


@dataclass(frozen=True, slots=True)
class UsedKey:
    """A key that was used before. `outcome` is what was told then, unless a record tells it."""

    fingerprint: bytes
    created_at: datetime
    is_expired: bool
    outcome: dict[str, Any] | None


_SCOPE = ("clinic_id", "user_id", "operation", "key")
_IS_IT = and_(*(keys.c[name] == bindparam(name) for name in _SCOPE))

# FOR UPDATE makes the replay a write: its COMMIT waits for a synchronous standby as the first answer's did, so that a
# failover can't take back what a replay has confirmed.
USED_KEY = compiled(
    "used_key",
    select(
        keys.c.fingerprint,
        keys.c.created_at,
        (keys.c.created_at < func.now() - ANSWER_KEPT).label("is_expired"),
        keys.c.outcome,
    )
    .where(_IS_IT)
    .with_for_update(),
    UsedKey,
    is_write=True,
)


def _settle() -> Statement[str]:
    """The first to tell wins; whoever comes second reads what was told."""
    refused = locking_calls(user_id=Uuid(), operation=Text(), key=Text(), refusal=JSONB())
    told = (
        update(keys)
        .where(
            *(keys.c[name] == refused.c[name] for name in _SCOPE),
            keys.c.outcome.is_(None),
        )
        .values(outcome=refused.c.refusal)
        .returning(refused.c.place, keys.c.key)
    )
    return compiled(
        "settle_refusal", told, str, is_write=True, together=Together(apart_by=("user_id", "operation", "key"))
    )


SETTLE_REFUSAL = _settle()

CLAIM_WITH_REFUSAL = compiled(
    "claim_with_refusal",
    insert(keys)
    .values(
        clinic_id=bindparam("clinic_id"),
        user_id=bindparam("user_id", type_=Uuid),
        operation=bindparam("operation", type_=Text),
        key=bindparam("key", type_=Text),
        fingerprint=bindparam("fingerprint", type_=LargeBinary),
        outcome=bindparam("refusal", type_=JSONB),
    )
    .on_conflict_do_nothing()
    .returning(keys.c.key),
    str,
    is_write=True,
)
