"""Counts, added up over all replicas."""

from dataclasses import dataclass

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Integer,
    LargeBinary,
    and_,
    bindparam,
    column,
    delete,
    func,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import insert

from app.db.statement import Statement, compiled
from app.ratelimit.models import rate_counts as counts


@dataclass(frozen=True, slots=True)
class Shared:
    """What all replicas together have counted in this minute, and in the one before."""

    clinic_id: int
    bucket: bytes
    requests: int
    previous: int


_MINUTE = bindparam("minute", type_=BigInteger)


def _share() -> Statement[Shared]:
    """Adds what one process counted. Rows are locked in one order, so that two processes never wait for each other."""
    told = (
        func.unnest(
            bindparam("clinic_ids", type_=ARRAY(Integer)),
            bindparam("buckets", type_=ARRAY(LargeBinary)),
            bindparam("requests", type_=ARRAY(Integer)),
        )
        .table_valued(column("clinic_id", Integer), column("bucket", LargeBinary), column("requests", Integer))
        .render_derived(name="told")
    )
    added = insert(counts).from_select(
        ["clinic_id", "bucket", "minute", "requests"],
        select(told.c.clinic_id, told.c.bucket, _MINUTE.label("minute"), told.c.requests).order_by(
            told.c.clinic_id, told.c.bucket
        ),
    )
    added_up = (
        added.on_conflict_do_update(
            index_elements=[counts.c.clinic_id, counts.c.bucket, counts.c.minute],
            set_={"requests": counts.c.requests + added.excluded.requests},
        )
        .returning(counts.c.clinic_id, counts.c.bucket, counts.c.requests)
        .cte("added")
    )
    previous = counts.alias("previous")
    query = select(
        added_up.c.clinic_id,
        added_up.c.bucket,
        added_up.c.requests,
        func.coalesce(previous.c.requests, 0).label("previous"),
    ).select_from(
        added_up.outerjoin(
            previous,
            and_(
                previous.c.clinic_id == added_up.c.clinic_id,
                previous.c.bucket == added_up.c.bucket,
                previous.c.minute == _MINUTE - 1,
            ),
        )
    )
    return compiled("share_counts", query, Shared, is_write=True)


def _forget() -> Statement[int]:
    key = tuple_(counts.c.clinic_id, counts.c.bucket, counts.c.minute)
    over = (
        select(counts.c.clinic_id, counts.c.bucket, counts.c.minute)
        .where(counts.c.minute < bindparam("minute", type_=BigInteger))
        .order_by(counts.c.minute)
        .limit(bindparam("rows"))
        .cte("over")
    )
    return compiled("forget_counts", delete(counts).where(key.in_(select(over))), int, is_write=True)


SHARE = _share()
FORGET = _forget()
