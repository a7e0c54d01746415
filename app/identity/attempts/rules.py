"""How many wrong passwords are free, and how long each further one makes the next one wait."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

# Whose attempts are counted together.
PAIR, ACCOUNT, NETWORK = "pair", "account", "network"
# After a day without a wrong password the counting begins anew.
FORGOTTEN_AFTER = timedelta(days=1)
# From where somebody has logged in for so long, strangers' guesses keep nobody out.
KNOWN_FOR = timedelta(days=90)
_DOUBLINGS_MAX = 12
_BUCKET_BYTES = 16


@dataclass(frozen=True, slots=True)
class Slowdown:
    """So many wrong passwords are free; the next one waits `first_s`, each further one twice as long as the last."""

    free: int
    first_s: int
    longest_s: int


SLOWDOWNS: Mapping[str, Slowdown] = {
    # One account, from one network: at most ten guesses in the first quarter of an hour, then one an hour.
    PAIR: Slowdown(free=5, first_s=30, longest_s=3600),
    # One account, from everywhere that it is not known: less than the above, so that its owner comes between the
    # guesses of a stranger in one network.
    ACCOUNT: Slowdown(free=5, first_s=180, longest_s=900),
    # All accounts that are not known there, from one network: a few tries at each of many. A hospital is one network.
    NETWORK: Slowdown(free=100, first_s=1, longest_s=300),
}


def wait_s(kind: str, failures: int) -> int:
    """For how many seconds after the last of `failures` wrong passwords none is looked at."""
    slowdown = SLOWDOWNS[kind]
    if failures < slowdown.free:
        return 0
    return min(slowdown.longest_s, slowdown.first_s << min(failures - slowdown.free, _DOUBLINGS_MAX))


def buckets_of(key: bytes, *, clinic_id: int, email_normalized: str, network: str) -> dict[str, bytes]:
    """Under what an attempt is counted, by kind: keyed hashes, so that no address lies in the table."""
    counted = {PAIR: (email_normalized, network), ACCOUNT: (email_normalized,), NETWORK: (network,)}
    return {
        kind: hmac.digest(key, "\0".join((kind, str(clinic_id), *who)).encode(), hashlib.sha256)[:_BUCKET_BYTES]
        for kind, who in counted.items()
    }
