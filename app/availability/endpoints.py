"""`/availability/`."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from app.availability import rules, schemas, service
from app.availability.errors import SlotBooked, SlotOverlap
from app.http.depends import Db, RequestId
from app.http.fields import SlotNumberText
from app.http.paging import Page, scroll
from app.http.problems import refusals
from app.idempotency import endpoints as idempotency
from app.idempotency.rules import Key
from app.identity.guard import Caller, GuardedRoute, requires
from app.identity.rules import Permission, Principal
from app.kit import clock
from app.kit.errors import FieldError, Invalid, InvalidCursor

router = APIRouter(route_class=GuardedRoute, tags=["Availability"])

BULK_BODY_BYTES_MAX = 256 * 1024


@router.post(
    "/availability/",
    status_code=201,
    response_model=rules.Slot,
    responses=idempotency.documented(SlotOverlap, is_required=False),
)
@requires(Permission.OFFER_SLOTS, headers=idempotency.check_optional)
async def offer_slot(
    body: schemas.NewSlot,
    key: idempotency.OptionalKey,
    caller: Caller,
    db: Db,
    request_id: RequestId,
) -> Any:
    """Offer a slot: 5 minutes to 12 hours of your time, in the future.

    Half-open: a slot may begin when another one ends. With an Idempotency-Key, retries are safe.
    """
    intervals = [rules.Interval("body", body.starts_at, body.ends_at)]
    scoped = _scoped(key, caller, body, service.OPERATION_ONE)
    offered = await service.offer_slots(
        db, doctor=caller, intervals=intervals, key=scoped, now=clock.now(), request_id=request_id
    )
    return (key.answered(offered) if key else offered.result)[0]


@router.post(
    "/availability/bulk",
    status_code=201,
    response_model=schemas.Slots,
    responses=idempotency.documented(SlotOverlap, is_required=False),
)
@requires(Permission.OFFER_SLOTS, headers=idempotency.check_optional)
async def offer_slots(
    body: schemas.NewSlots,
    key: idempotency.OptionalKey,
    caller: Caller,
    db: Db,
    request_id: RequestId,
) -> Any:
    """Offer up to 1,000 slots, all or none."""
    intervals = [
        rules.Interval(f"body.slots.{index}", slot.starts_at, slot.ends_at) for index, slot in enumerate(body.slots)
    ]
    scoped = _scoped(key, caller, body, service.OPERATION_MANY)
    offered = await service.offer_slots(
        db, doctor=caller, intervals=intervals, key=scoped, now=clock.now(), request_id=request_id
    )
    return {"items": key.answered(offered) if key else offered.result}


@router.get("/availability/", response_model=Page[rules.Slot], responses=refusals(InvalidCursor))
@requires(Permission.SEE_SLOTS)
async def list_slots(query: Annotated[schemas.SlotQuery, Query()], request: Request, caller: Caller, db: Db) -> Any:
    """Find slots by start.

    By default the open ones of active doctors, from now on, 92 days ahead.
    """
    window = rules.window(query.from_, query.to, now=clock.now())
    if isinstance(window, FieldError):
        raise Invalid(window)
    here = scroll(request, query, name="slots", caller=caller.user_id, parts=2)
    rows = await service.find_slots(
        db,
        clinic_id=caller.clinic_id,
        doctor_id=query.doctor_id,
        status=query.status,
        window=window,
        after=(datetime.fromisoformat(here.position[0]), int(here.position[1])) if here.position else None,
        limit=here.rows_wanted,
    )
    return here.spelt(rows, lambda slot: [slot["starts_at"], slot["id"]])


@router.delete("/availability/{id}", status_code=204, responses=refusals(SlotBooked))
@requires(Permission.WITHDRAW_SLOTS)
async def withdraw_slot(id: SlotNumberText, caller: Caller, db: Db, request_id: RequestId) -> None:
    """Withdraw an open slot: your own, or as an admin any of the clinic."""
    await service.withdraw_slot(db, slot_id=id, actor=caller, request_id=request_id)


def _scoped(key: idempotency.GivenKey | None, caller: Principal, body: BaseModel, operation: str) -> Key | None:
    if key is None:
        return None
    return key.scoped(clinic_id=caller.clinic_id, user_id=caller.user_id, operation=operation, body=body)
