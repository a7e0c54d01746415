"""`/health/live` and `/health/ready`."""

from typing import Literal

from fastapi import APIRouter

from app.db import migrate
from app.http.depends import Db
from app.http.fields import Answer
from app.identity.guard import GuardedRoute, probed
from app.kit.errors import Unavailable

router = APIRouter(route_class=GuardedRoute, tags=["Health"])
_HEAD = migrate.head()


class Live(Answer):
    """The process runs."""

    status: Literal["live"] = "live"


class Ready(Answer):
    """The database answers, and its schema is the one of this release."""

    status: Literal["ready"] = "ready"
    schema_revision: str


@router.get("/health/live")
@probed
async def read_liveness() -> Live:
    """Ask whether the process runs."""
    return Live()


@router.get("/health/ready")
@probed
async def read_readiness(db: Db) -> Ready:
    """Ask whether requests can be served: the database answers, and its schema is current."""
    revision = await db.one(migrate.CURRENT_REVISION)
    if revision != _HEAD:
        raise Unavailable("The schema is not current. Run `telemed migrate`.")
    return Ready(schema_revision=revision)
