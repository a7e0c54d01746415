"""Seals and rows as lines of JSON, and checking them without a database."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, astuple, fields
from pathlib import Path
from typing import Any, cast

from app.audit.seals.chain import ROWS_MAX, Chain, Finding
from app.audit.seals.rules import Entry, Seal
from app.kit.signing import PublicKeys

_SEAL, _ROW, _PUBLIC_KEY = "seal", "row", "public_key"
_KINDS = {field.name: field.type for field in fields(Seal)}


class Unreadable(Exception):
    """A line is not what we write; the message says which."""


def checkpoint_line(seal: Seal, public_key: bytes | None) -> str:
    """A seal and the key that it is signed with: `None` if that is not the present one."""
    return json.dumps({**_of_seal(seal), _PUBLIC_KEY: None if public_key is None else public_key.hex()})


def checkpoints(path: Path) -> tuple[list[Seal], list[bytes]]:
    """The seals of a file of checkpoints, and the public keys in it. Raises `Unreadable`, `OSError`."""
    seals, keys = [], []
    for number, line in enumerate(_lines(path), start=1):
        with_key = _parsed(line, number)
        public_key = with_key.pop(_PUBLIC_KEY, None)
        seals.append(_to_seal(with_key, number))
        keys += [] if public_key is None else [_from_hex(public_key, number)]
    return seals, keys


def seal_line(seal: Seal) -> str:
    """A seal, before the rows that it is over."""
    return json.dumps({_SEAL: _of_seal(seal)})


def row_line(entry: Entry) -> str:
    """A row, after its seal."""
    return json.dumps({_ROW: astuple(entry)}, ensure_ascii=False)


def verify(
    path: Path, keys: PublicKeys, checkpoints: Mapping[int, Mapping[int, bytes]], *, tell: Callable[[Finding], None]
) -> list[Chain]:
    """Check an export, telling what is wrong; the chains that are in it. Raises `Unreadable`, `OSError`."""
    # Once through for the newest seals: what may be gone stands in the last one.
    newest = {seal.clinic_id: seal for seal, _ in _groups(path)}
    chains: dict[int, Chain] = {}
    for seal, entries in _groups(path):
        clinic_id = seal.clinic_id
        chain = chains.setdefault(clinic_id, Chain(clinic_id, keys, checkpoints.get(clinic_id, {})))
        after = chain.after(seal)
        horizon = chain.dropped_before(newest[clinic_id])
        for finding in chain.check(seal, entries, dropped_before_us=horizon):
            tell(finding)
        # A database would have shown it with another seal; a file can say anything.
        if any(entry.clinic_id != clinic_id or (after is not None and entry.position <= after) for entry in entries):
            tell(Finding(clinic_id, seal.number, "inserted", "a row that is not of this seal's part of the log"))
    for clinic_id in checkpoints.keys() - chains.keys():
        chains[clinic_id] = Chain(clinic_id, keys, checkpoints[clinic_id])
    for chain in chains.values():
        for finding in chain.end():
            tell(finding)
    return sorted(chains.values(), key=lambda chain: chain.clinic_id)


def _groups(path: Path) -> Iterator[tuple[Seal, list[Entry]]]:
    """Each seal with its rows, of which no more are held than a seal can be over."""
    seal: Seal | None = None
    entries: list[Entry] = []
    for number, line in enumerate(_lines(path), start=1):
        parsed = _parsed(line, number)
        if _SEAL in parsed:
            if seal is not None:
                yield seal, entries
            seal, entries = _to_seal(parsed[_SEAL], number), []
        elif seal is None or not isinstance(parsed.get(_ROW), list):
            raise Unreadable(f"line {number} is neither a seal nor a row of one")
        elif len(entries) <= ROWS_MAX:
            entries.append(_to_entry(parsed[_ROW], number))
    if seal is not None:
        yield seal, entries


def _lines(path: Path) -> Iterable[str]:
    with path.open(encoding="utf-8") as file:
        yield from (line for line in file if line.strip())


def _parsed(line: str, number: int) -> dict[str, Any]:
    try:
        parsed = json.loads(line)
    except ValueError as error:
        raise Unreadable(f"line {number} is no JSON") from error
    if not isinstance(parsed, dict):
        raise Unreadable(f"line {number} is no object")
    return parsed


def _of_seal(seal: Seal) -> dict[str, Any]:
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in asdict(seal).items()}


def _to_seal(values: Any, number: int) -> Seal:
    try:
        found: dict[str, Any] = {
            name: bytes.fromhex(values[name]) if kind is bytes else values[name] for name, kind in _KINDS.items()
        }
        # A file can say anything, and what is compared must be of its type.
        are_right = all(isinstance(found[name], cast("type", kind)) for name, kind in _KINDS.items())
        if not are_right or len(values) != len(found):
            raise ValueError("wrong types")
        return Seal(**found)
    except (TypeError, ValueError, KeyError) as error:
        raise Unreadable(f"line {number} holds no seal") from error


def _to_entry(values: list[Any], number: int) -> Entry:
    if len(values) != len(fields(Entry)) or not isinstance(values[1], str) or not isinstance(values[2], int):
        raise Unreadable(f"line {number} holds no row")
    return Entry(*values)


def _from_hex(text: Any, number: int) -> bytes:
    try:
        return bytes.fromhex(text)
    except (TypeError, ValueError) as error:
        raise Unreadable(f"line {number} holds no public key") from error
