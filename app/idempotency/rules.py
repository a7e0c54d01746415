"""What a key looks like, how long its answer is kept, and when two requests are the same."""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

# %x21-7E of RFC 5234; 8 characters so that a counter is not taken for a key, 255 so that it fits an index.
KEY_PATTERN = re.compile(r"[\x21-\x7e]{8,255}")
# Longer than a weekend and a public holiday; short, because the answer to a prescription is clinical text.
ANSWER_KEPT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Key:
    """A key in its scope (rule 3), with the fingerprint of the request that came with it (rule 4)."""

    clinic_id: int
    user_id: UUID
    operation: str
    value: str
    fingerprint: bytes


def is_well_formed(value: str) -> bool:
    """Whether `value` is 8 to 255 visible ASCII characters."""
    return KEY_PATTERN.fullmatch(value) is not None


def fingerprint(secret: bytes, *, operation: str, body: Mapping[str, object]) -> bytes:
    """HMAC-SHA-256 of the operation and the validated body: spaces and the order of names don't matter.

    Keyed, so that a dump of the table does not let anybody guess what was prescribed.
    """
    canonical = json.dumps([operation, body], sort_keys=True, separators=(",", ":"))
    return hmac.digest(secret, canonical.encode(), hashlib.sha256)
