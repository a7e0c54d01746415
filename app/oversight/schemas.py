"""What is asked and answered about the audit log."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from app.http.fields import Answer, FreeText, Instant, RecordId
from app.http.paging import PageQuery

Word = Annotated[FreeText, Field(max_length=200)]


class AuditQuery(PageQuery):
    """Which rows."""

    actor_id: RecordId | None = None
    action: Annotated[Word | None, Field(examples=["consultation.booked"])] = None
    entity_type: Annotated[Word | None, Field(examples=["consultation"])] = None
    entity_id: Word | None = None
    from_: Annotated[Instant | None, Field(alias="from")] = None
    to: Instant | None = None


class AuditRow(Answer):
    """One thing that somebody did, or was refused."""

    id: UUID
    occurred_at: datetime
    actor_id: UUID | None
    actor_role: str | None
    action: str = Field(examples=["consultation.booked"])
    entity_type: str = Field(examples=["consultation"])
    entity_id: str | None
    outcome: Literal["success", "denied", "failure"]
    request_id: str
    details: dict[str, Any]


class AccessQuery(PageQuery):
    """Which part of your access log."""

    from_: Annotated[Instant | None, Field(alias="from")] = None
    to: Instant | None = None


class Access(Answer):
    """Somebody else read or changed a record of yours."""

    id: UUID
    occurred_at: datetime
    actor_id: UUID | None
    actor_role: str | None
    actor_name: str | None
    action: str = Field(examples=["consultation.read"])
    entity_type: str = Field(examples=["consultation"])
    entity_id: str | None
    reason: str | None = Field(description="Of a doctor who opened your record in an emergency.")
