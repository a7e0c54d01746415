"""What somebody is told of those who had to do with their record."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, bindparam, cast, select, tuple_

from app.audit.models import audit_logs
from app.breakglass.models import break_glass_grants as grants
from app.db.schema import Instant, Uuid
from app.db.statement import Statement, compiled, constant
from app.encryption.clauses import key_of
from app.encryption.rules import EMERGENCY, Sealed
from app.identity.users.models import staff


@dataclass(frozen=True, slots=True)
class Access:
    """Somebody else read or changed a record of yours."""

    id: UUID
    occurred_at: datetime
    actor_id: UUID | None
    actor_role: str | None
    actor_name: str | None
    action: str
    entity_type: str
    entity_id: str | None
    reason: str | None


# Only what was read under a break-glass grant has a reason, which is sealed.
KeptAccess = Access | tuple[UUID, Sealed[Access]]


def _kept(*values: Any) -> KeptAccess:
    *told, reason, grant_id, data_key = values
    access = Access(*(*told, None))
    return access if reason is None else (grant_id, Sealed(access, {"reason": reason}, data_key))


_FILTERS = {
    "from_": audit_logs.c.occurred_at >= bindparam("from_", type_=Instant),
    "to": audit_logs.c.occurred_at < bindparam("to", type_=Instant),
    "before_at": tuple_(audit_logs.c.occurred_at, audit_logs.c.id)
    < tuple_(bindparam("before_at", type_=Instant), bindparam("before_id", type_=Uuid)),
}


@cache
def accesses_to(given: frozenset[str]) -> Statement[KeptAccess]:
    """What others did with the person's records, newest first. Binds `clinic_id`, `subject_id`, `rows`, the filters."""
    # The page first: names and reasons are looked up for its rows only. Sorted as in `app/audit/sql.py:audit_rows`.
    page = (
        select(audit_logs)
        .where(
            audit_logs.c.clinic_id == bindparam("clinic_id", type_=Integer),
            audit_logs.c.subject_id == bindparam("subject_id", type_=Uuid),
            *(_FILTERS[name] for name in sorted(given)),
        )
        .order_by(audit_logs.c.occurred_at.desc(), audit_logs.c.id.desc())
        .limit(bindparam("rows"))
        .subquery("page")
    )
    # Values and not joins, for which the planner may read all users. Doctors and admins are known by name in their
    # clinic; of patients nobody is told.
    name = (
        select(staff.c.full_name)
        .where(staff.c.clinic_id == page.c.clinic_id, staff.c.id == page.c.actor_id)
        .scalar_subquery()
    )
    grant_id = cast(page.c.details[constant("grant_id")].astext, Uuid)
    reason = (
        select(grants.c.reason).where(grants.c.clinic_id == page.c.clinic_id, grants.c.id == grant_id).scalar_subquery()
    )
    looked_up = {"actor_name": name.label("actor_name"), "reason": reason.label("reason")}
    columns = [looked_up[field] if field in looked_up else page.c[field] for field in Access.__dataclass_fields__]
    keys = [grant_id.label("grant_id"), key_of(page.c.clinic_id, grant_id, part=EMERGENCY)]
    query = select(*columns, *keys).order_by(page.c.occurred_at.desc(), page.c.id.desc())
    return compiled("accesses_to", query, _kept, is_personal=True)
