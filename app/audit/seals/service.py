"""Checking the log against its seals, and what is copied off the machine."""

from collections.abc import AsyncIterator, Callable, Mapping

from app.audit.seals import sql
from app.audit.seals.chain import Chain, Finding, rows_read
from app.audit.seals.exports import row_line, seal_line
from app.audit.seals.rules import START, Entry, Position, Seal, instant
from app.audit.seals.sql import UNSEALED_MAX, ClinicName
from app.db.database import Database
from app.kit.signing import PublicKeys

_SEALS_A_PAGE = 100


async def clinics(db: Database) -> list[ClinicName]:
    """All of them."""
    return await db.many(sql.CLINICS)


async def newest(db: Database, *, clinic_id: int) -> Seal | None:
    """The newest seal: it stands for all before it."""
    return await db.one(sql.NEWEST, clinic_id=clinic_id)


async def verify(
    db: Database,
    *,
    clinic_id: int,
    keys: PublicKeys,
    checkpoints: Mapping[int, bytes],
    tell: Callable[[Finding], None],
) -> Chain:
    """Recompute each seal from the rows, telling what is wrong. Holds one seal's rows at a time."""
    chain = Chain(clinic_id, keys, checkpoints)
    async for seal in _seals(db, clinic_id):
        entries = await _entries(db, seal, chain.after(seal))
        # Asked late: a month that is dropped meanwhile was announced before.
        horizon = None if entries else chain.dropped_before(await newest(db, clinic_id=clinic_id))
        for finding in chain.check(seal, entries, dropped_before_us=horizon):
            tell(finding)
    for finding in chain.end():
        tell(finding)
    return chain


async def unsealed(db: Database, *, chain: Chain) -> int:
    """How many rows come after the chain's newest seal; `UNSEALED_MAX` stands for more as well."""
    us, id = START if chain.newest is None else chain.newest.last
    return await db.one(sql.UNSEALED, clinic_id=chain.clinic_id, after_at=instant(us), after_id=id) or 0


async def export(db: Database, *, clinic_id: int) -> AsyncIterator[str]:
    """Each seal and then its rows, a line each."""
    # Keys do not matter: here nothing is judged.
    chain = Chain(clinic_id, PublicKeys({}), {})
    async for seal in _seals(db, clinic_id):
        entries = await _entries(db, seal, chain.after(seal))
        chain.check(seal, ())
        yield seal_line(seal)
        for entry in entries:
            yield row_line(entry)


async def _seals(db: Database, clinic_id: int) -> AsyncIterator[Seal]:
    after = 0
    while page := await db.many(sql.SEALS, clinic_id=clinic_id, after=after, rows=_SEALS_A_PAGE):
        for seal in page:
            yield seal
        after = page[-1].number


async def _entries(db: Database, seal: Seal, after: Position | None) -> list[Entry]:
    last_us, last_id = seal.last
    bounds = {"clinic_id": seal.clinic_id, "last_at": instant(last_us), "last_id": last_id, "rows": rows_read(seal)}
    if after is None:
        return await db.many(sql.ROWS_OF_FIRST_SEAL, **bounds)
    return await db.many(sql.ROWS_OF_SEAL, **bounds, after_at=instant(after[0]), after_id=after[1])


__all__ = ["UNSEALED_MAX", "clinics", "export", "newest", "unsealed", "verify"]
