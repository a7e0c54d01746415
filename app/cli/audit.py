"""`telemed audit verify`, `audit checkpoint`, `audit export` and `audit key`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from app.audit.seals import exports, rules, service
from app.audit.seals.chain import Chain, Finding, by_clinic
from app.audit.seals.rules import Seal
from app.audit.seals.sql import ClinicName
from app.cli.console import err, fail, out
from app.cli.house import House, opened
from app.db.database import Database
from app.kit.signing import PublicKeys, Signer
from app.settings import load

Tell = Callable[[Finding], None]
Clinic = Annotated[str | None, typer.Option(help="The clinic's slug; all of them if left out.")]


def verify(
    clinic: Clinic = None,
    checkpoints: Annotated[Path | None, typer.Option(help="Lines of `audit checkpoint`, kept elsewhere.")] = None,
    export: Annotated[Path | None, typer.Option(help="Check this file of `audit export`, and no database.")] = None,
    key: Annotated[list[str] | None, typer.Option(help="A public key to trust, besides the present one.")] = None,
) -> None:
    """Check the audit log against its seals: a line for each clinic and each finding, exit code 1 if there is one."""
    findings: list[Finding] = []

    def tell(finding: Finding) -> None:
        # Counted, not kept: there may be one for each seal.
        findings[:] = [finding]
        out.print(str(finding), markup=False, soft_wrap=True)

    seals, public = _checkpoints(checkpoints)
    public += [_public_key(text) for text in key or ()]
    expected = by_clinic(seals)
    if export is not None:
        if clinic is not None:
            fail("--clinic is for the database; an export holds what it was made of.")
        for chain in _verify_file(export, _keys(public or [_signer_of_settings().public]), expected, tell):
            _tell_chain(chain, "", None)
    else:
        with opened() as house:
            _verify_database(house, clinic, [*public, _signer(house).public], expected, tell)
    if checkpoints is None:
        out.print("Without --checkpoints it cannot be told whether the newest seals were cut off.", soft_wrap=True)
    if findings:
        err.print("telemed: the audit log is not what was sealed.", soft_wrap=True)
        sys.exit(1)


def checkpoint(clinic: Clinic = None) -> None:
    """Print each clinic's newest seal as a line of JSON, to be kept on another machine."""

    async def work(db: Database, signer: Signer) -> None:
        for one in await _clinics(db, clinic):
            newest = await service.newest(db, clinic_id=one.clinic_id)
            if newest is not None:
                public = signer.public if newest.key_id == signer.key_id else None
                sys.stdout.write(exports.checkpoint_line(newest, public) + "\n")

    with opened() as house:
        house.run(lambda db, _: work(db, _signer(house)))


def export(clinic: Clinic = None) -> None:
    """Print what is sealed, seals and rows, as lines of JSON: for `audit verify --export`."""

    async def work(db: Database) -> None:
        for one in await _clinics(db, clinic):
            async for line in service.export(db, clinic_id=one.clinic_id):
                sys.stdout.write(line + "\n")

    with opened() as house:
        house.run(lambda db, _: work(db))


def key() -> None:
    """Print the public key that seals are signed with now: for `audit verify --key`."""
    sys.stdout.write(_signer_of_settings().public.hex() + "\n")


def _verify_database(
    house: House, slug: str | None, public: list[bytes], expected: dict[int, dict[int, bytes]], tell: Tell
) -> None:
    keys = _keys(public)

    async def work(db: Database) -> None:
        clinics = await _clinics(db, slug)
        for one in clinics:
            chain = await service.verify(
                db, clinic_id=one.clinic_id, keys=keys, checkpoints=expected.get(one.clinic_id, {}), tell=tell
            )
            _tell_chain(chain, f" ({one.slug})", await service.unsealed(db, chain=chain))
        gone = set() if slug else expected.keys() - {one.clinic_id for one in clinics}
        for clinic_id in sorted(gone):
            for finding in Chain(clinic_id, keys, expected[clinic_id]).end():
                tell(finding)

    house.run(lambda db, _: work(db))


def _verify_file(path: Path, keys: PublicKeys, expected: dict[int, dict[int, bytes]], tell: Tell) -> list[Chain]:
    try:
        return exports.verify(path, keys, expected, tell=tell)
    except (exports.Unreadable, OSError, UnicodeDecodeError) as error:
        fail(f"cannot read {path}: {error}")


def _tell_chain(chain: Chain, name: str, unsealed: int | None) -> None:
    parts = [f"{chain.seals} seals over {chain.rows} rows checked"]
    if chain.dropped:
        parts.append(f"{chain.dropped} rows dropped by telemed tidy")
    if unsealed is not None:
        more = " or more" if unsealed == service.UNSEALED_MAX else ""
        parts.append(f"not sealed yet: {unsealed}{more}")
    out.print(f"clinic {chain.clinic_id}{name}: {', '.join(parts)}.", markup=False, soft_wrap=True)


def _checkpoints(path: Path | None) -> tuple[list[Seal], list[bytes]]:
    if path is None:
        return [], []
    try:
        return exports.checkpoints(path)
    except (exports.Unreadable, OSError, UnicodeDecodeError) as error:
        fail(f"cannot read {path}: {error}")


def _public_key(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        fail(f"{text!r} is no public key: 64 hexadecimal digits, as `telemed audit key` prints them.")


def _keys(public: list[bytes]) -> PublicKeys:
    try:
        return PublicKeys.of(public)
    except ValueError:
        fail("a public key has 64 hexadecimal digits, as `telemed audit key` prints them.")


async def _clinics(db: Database, slug: str | None) -> list[ClinicName]:
    found = [one for one in await service.clinics(db) if slug in (None, one.slug)]
    if not found:
        fail(f"there is no clinic {slug!r}.")
    return found


def _signer(house: House) -> Signer:
    return Signer(house.settings.stable_key_for(rules.KEY))


def _signer_of_settings() -> Signer:
    return Signer(load().stable_key_for(rules.KEY))
