"""What a minute allows, and how long somebody waits who asked for more."""

import ipaddress
import math
from dataclasses import dataclass
from functools import lru_cache

MINUTE_S = 60
# One household or one phone has as many IPv6 addresses as it likes.
_IPV6_NETWORK_BITS = 64
# Whoever comes over a unix socket, or from a proxy that does not say for whom.
UNKNOWN_NETWORK = "unknown"


# One is the same as another only if it is that one: it is a part of the key of each count.
@dataclass(frozen=True, slots=True, eq=False)
class Limit:
    """So many requests a minute. `is_shared_at_once`: other replicas hear of the first one, not of the many."""

    name: str
    per_minute: int
    is_shared_at_once: bool = False


@dataclass(slots=True)
class Count:
    """What one caller, or one network, asked for in this minute and in the one before."""

    minute: int
    previous: int = 0
    # As far as all replicas have told, ourselves included.
    shared: int = 0
    # What we have not told yet.
    own: int = 0

    def turn_to(self, minute: int) -> None:
        """Begin a new minute, if it is one."""
        if minute != self.minute:
            self.previous = self.shared + self.own if minute == self.minute + 1 else 0
            self.minute, self.shared, self.own = minute, 0, 0


def wait_s(count: Count, limit: Limit, *, at_s: float) -> int:
    """For how many whole seconds nothing more is allowed, `at_s` seconds into the minute; 0 if it is now.

    The minute that ends at this moment is estimated: of the calendar minute before, the share that it still covers.
    A burst on the edge of two calendar minutes is therefore no more than any other.
    """
    present = count.shared + count.own
    room = limit.per_minute - 1 - present
    if present + count.previous * (1 - at_s / MINUTE_S) <= limit.per_minute - 1:
        return 0
    if room >= 0:
        # In this minute: when enough of the previous one has gone by.
        return max(1, math.ceil(MINUTE_S * (1 - room / count.previous) - at_s))
    # In the next one, of which the present one will be the previous.
    return math.ceil(MINUTE_S - at_s + MINUTE_S * (1 - (limit.per_minute - 1) / present))


@lru_cache(maxsize=10_000)
def network_of(address: str | None) -> str:
    """What is counted as one network: an IPv4 address, or 64 bits of an IPv6 address."""
    try:
        known = ipaddress.ip_address(address or "")
    except ValueError:
        return UNKNOWN_NETWORK
    if isinstance(known, ipaddress.IPv6Address):
        if known.ipv4_mapped is not None:
            return str(known.ipv4_mapped)
        return str(ipaddress.ip_network((int(known), _IPV6_NETWORK_BITS), strict=False))
    return str(known)
