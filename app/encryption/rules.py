"""What is sealed with what: a key ring wraps data keys, a data key seals the text of one writing."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar
from uuid import UUID

from app.kit import keys, sealing
from app.kit.errors import Unavailable

Record = TypeVar("Record")

PRESCRIPTION: Final = "prescription"
CANCELLATION: Final = "cancellation"
EMERGENCY: Final = "emergency"
REVIEW_NOTE: Final = "review"

_KEY_BYTES = 32
# Of 64 bits; two secrets of one deployment never share them.
ID_BYTES = 8


@dataclass(frozen=True, slots=True)
class Writing:
    """Where text belongs: it opens nowhere else. `part` is what was written, of the clinic's record `record_id`."""

    part: str
    clinic_id: int
    record_id: UUID

    def place(self, column: str) -> str:
        """The additional authenticated data of a value."""
        return f"{self.part}.{column}/{self.clinic_id}/{self.record_id}"


@dataclass(frozen=True, slots=True)
class Sealed(Generic[Record]):
    """A record without its text, the text as it is kept, by field, and its wrapped key: `None` if it was erased."""

    record: Record
    texts: dict[str, bytes | None]
    data_key: bytes | None


class KeyRing:
    """The deployment's secrets for data keys: the first one wraps, any of them unwraps.

    Raises `Unavailable` for a data key that was wrapped with another secret, and `sealing.SealBroken` for text or keys
    that were changed or moved.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        self._by_id = {_id_of(secret): keys.derive(secret, "data keys") for secret in secrets}
        self.current_id = _id_of(secrets[0])

    @property
    def ids(self) -> list[bytes]:
        """With one of these each wrapped data key begins that this ring opens."""
        return list(self._by_id)

    def seal(self, writing: Writing, **texts: str | None) -> dict[str, bytes | None]:
        """The texts, by column, and the `data_key` that opens them, wrapped; no key if there is no text."""
        if all(text is None for text in texts.values()):
            return {**dict.fromkeys(texts), "data_key": None}
        key = os.urandom(_KEY_BYTES)
        sealed = {
            column: None if text is None else sealing.seal(key, text.encode(), place=writing.place(column))
            for column, text in texts.items()
        }
        return {**sealed, "data_key": self._wrap(key, writing)}

    def unseal(
        self, writing: Writing, data_key: bytes | None, texts: Mapping[str, bytes | None]
    ) -> dict[str, str | None]:
        """The texts by column; none of them is left if the key was erased."""
        if data_key is None:
            return dict.fromkeys(texts)
        key = self._unwrap(data_key, writing)
        return {
            column: None if text is None else sealing.unseal(key, text, place=writing.place(column)).decode()
            for column, text in texts.items()
        }

    def rewrap(self, wrapped: bytes, writing: Writing) -> bytes:
        """The same data key, wrapped with the first secret."""
        return self._wrap(self._unwrap(wrapped, writing), writing)

    def _wrap(self, key: bytes, writing: Writing) -> bytes:
        return self.current_id + sealing.seal(self._by_id[self.current_id], key, place=writing.place("data_key"))

    def _unwrap(self, wrapped: bytes, writing: Writing) -> bytes:
        wrapping = self._by_id.get(wrapped[:ID_BYTES])
        if wrapping is None:
            raise Unavailable("This server does not have the key of this text. Its operator must add it to FIELD_KEYS.")
        return sealing.unseal(wrapping, wrapped[ID_BYTES:], place=writing.place("data_key"))


def _id_of(secret: str) -> bytes:
    return keys.derive(secret, "data key id")[:ID_BYTES]
