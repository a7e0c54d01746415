"""Attempts: counted before the password is looked at, forgiven when it was right."""

from dataclasses import dataclass

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Float,
    Integer,
    LargeBinary,
    and_,
    bindparam,
    case,
    cast,
    column,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import INTERVAL, insert
from sqlalchemy.sql.elements import KeyedColumnElement

from app.db.schema import Text
from app.db.statement import Statement, compiled, constant
from app.identity.attempts.models import login_attempts as attempts
from app.identity.attempts.rules import FORGOTTEN_AFTER, KNOWN_FOR, PAIR, SLOWDOWNS


@dataclass(frozen=True, slots=True)
class Admission:
    """The buckets in which the attempt was counted; none if it has to wait, `wait_s` seconds by what is known."""

    wait_s: float
    counted: list[bytes]
    wanted: int


_CLINIC_ID = bindparam("clinic_id", type_=Integer)
_DAY = cast(literal(FORGOTTEN_AFTER), INTERVAL)


def _failures() -> ColumnElement[int]:
    return case((attempts.c.failed_at < func.now() - _DAY, 0), else_=attempts.c.failures)


def _wait_s() -> ColumnElement[float]:
    """How long a bucket's next attempt still waits, in seconds; 0 or below if it need not. As `rules.wait_s` has it."""
    failures = _failures()
    waits: list[tuple[ColumnElement[bool], ColumnElement[float]]] = [
        (
            and_(attempts.c.kind == constant(kind), failures >= slowdown.free),
            # Twelve doublings of a second are longer than any wait.
            func.least(
                float(slowdown.longest_s),
                slowdown.first_s * func.power(2.0, func.least(failures - slowdown.free, 12)),
            ),
        )
        for kind, slowdown in SLOWDOWNS.items()
    ]
    # An attempt that began after this one may have been counted before it: no time has gone by then, not less.
    since_s = func.greatest(cast(func.extract("epoch", func.now() - attempts.c.failed_at), Float), 0.0)
    return case(*waits, else_=literal(0.0)) - since_s


def _admit() -> Statement[Admission]:
    """Counts an attempt in all its buckets, or tells how long to wait.

    Of two at once each is counted before the next one is asked for: `ON CONFLICT` sees the row as it is then.
    """
    asked = (
        func.unnest(bindparam("kinds", type_=ARRAY(Text)), bindparam("buckets", type_=ARRAY(LargeBinary)))
        .table_valued(column("kind", Text), column("bucket", LargeBinary))
        .render_derived(name="asked")
    )
    pair = attempts.alias("pair")
    is_known = exists().where(
        pair.c.clinic_id == _CLINIC_ID,
        pair.c.bucket == bindparam("pair", type_=LargeBinary),
        pair.c.known_until > func.now(),
    )
    wanted = (
        select(asked.c.kind, asked.c.bucket)
        .where(or_(asked.c.kind == constant(PAIR), ~is_known))
        .cte("wanted")
        .prefix_with("MATERIALIZED")
    )
    longest = (
        select(func.coalesce(func.max(_wait_s()), 0.0).label("wait_s"))
        .select_from(
            wanted.join(attempts, and_(attempts.c.clinic_id == _CLINIC_ID, attempts.c.bucket == wanted.c.bucket))
        )
        .cte("longest")
    )
    added = insert(attempts).from_select(
        ["clinic_id", "bucket", "kind", "failures", "expires_at"],
        select(_CLINIC_ID, wanted.c.bucket, wanted.c.kind, literal(1), func.now() + _DAY)
        .where(select(longest.c.wait_s).scalar_subquery() <= 0)
        # In one order, so that two attempts never wait for each other.
        .order_by(wanted.c.bucket),
    )
    counted = (
        added.on_conflict_do_update(
            index_elements=[attempts.c.clinic_id, attempts.c.bucket],
            set_={
                "failures": _failures() + 1,
                "failed_at": func.now(),
                "expires_at": func.greatest(attempts.c.expires_at, func.now() + _DAY),
            },
            where=_wait_s() <= 0,
        )
        .returning(attempts.c.bucket)
        .cte("counted")
    )
    query = select(
        longest.c.wait_s,
        select(func.coalesce(func.array_agg(counted.c.bucket), cast(literal([]), ARRAY(LargeBinary))))
        .scalar_subquery()
        .label("counted"),
        select(func.count()).select_from(wanted).scalar_subquery().label("wanted"),
    )
    return compiled("admit_attempt", query, Admission, is_write=True)


def _first(value: bytes) -> bytes:
    return value


def _forgive() -> Statement[bytes]:
    """The password was right: the pair's count begins anew and is known; the others have one attempt less."""
    locked = (
        select(attempts.c.clinic_id, attempts.c.bucket)
        .where(
            attempts.c.clinic_id == _CLINIC_ID,
            attempts.c.bucket == func.any(bindparam("buckets", type_=ARRAY(LargeBinary))),
        )
        .order_by(attempts.c.bucket)
        .with_for_update()
        .cte("locked")
    )
    is_pair = attempts.c.kind == constant(PAIR)
    known_until = func.now() + cast(literal(KNOWN_FOR), INTERVAL)
    changes: dict[str, KeyedColumnElement[object] | ColumnElement[object]] = {
        "failures": case((is_pair, 0), else_=func.greatest(attempts.c.failures - 1, 0)),
        "known_until": case((is_pair, known_until), else_=attempts.c.known_until),
        "expires_at": case((is_pair, known_until), else_=attempts.c.expires_at),
    }
    query = (
        update(attempts)
        .where(attempts.c.clinic_id == locked.c.clinic_id, attempts.c.bucket == locked.c.bucket)
        .values(changes)
        .returning(attempts.c.bucket)
    )
    return compiled("forgive_attempt", query, _first, is_write=True)


def _welcome() -> Statement[int]:
    """The pair is known from now on, whatever was guessed there."""
    known_until = func.now() + cast(literal(KNOWN_FOR), INTERVAL)
    known = {"failures": 0, "known_until": known_until, "expires_at": known_until}
    query = (
        insert(attempts)
        .values(clinic_id=_CLINIC_ID, bucket=bindparam("pair", type_=LargeBinary), kind=constant(PAIR), **known)
        .on_conflict_do_update(index_elements=[attempts.c.clinic_id, attempts.c.bucket], set_=known)
    )
    return compiled("welcome", query, int, is_write=True)


def _forget() -> Statement[int]:
    over = (
        select(attempts.c.clinic_id, attempts.c.bucket)
        .where(attempts.c.expires_at < func.now())
        .order_by(attempts.c.expires_at)
        .limit(bindparam("rows"))
        .cte("over")
    )
    gone = delete(attempts).where(tuple_(attempts.c.clinic_id, attempts.c.bucket).in_(select(over)))
    return compiled("forget_attempts", gone, int, is_write=True)


ADMIT = _admit()
FORGIVE = _forgive()
WELCOME = _welcome()
FORGET = _forget()
