"""What a presented refresh token leads to.

Rotation is itself safe to repeat: whose answer was lost asks again with the old token and gets the same successor, as
long as nobody has used that. Anything else means that two hold the token, and the family ends (RFC 9700, 4.14).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from uuid import UUID

REPEAT_WITHIN = timedelta(seconds=30)
# The longest life of an access token: a session is remembered while one of its tokens may be good, and can be ended.
KEPT_AFTER_EXPIRY = timedelta(days=1)


class Decision(Enum):
    """What to do about a presented token."""

    REFUSE = auto()
    ROTATE = auto()
    REPEAT = auto()
    END_FAMILY = auto()


@dataclass(frozen=True, slots=True)
class Presented:
    """A refresh token that was issued once, as the database has it now."""

    session_id: UUID
    user_id: UUID
    role: str
    is_active: bool
    token_version: int
    now: datetime
    expires_at: datetime
    session_ended_at: datetime | None
    used_at: datetime | None
    successor_used_at: datetime | None
    # Whether the clinic demands a second factor, and the user has none.
    needs_factor: bool


def decide(presented: Presented) -> Decision:
    """The one thing to do."""
    if presented.session_ended_at is not None or not presented.is_active:
        return Decision.REFUSE
    if presented.used_at is None:
        return Decision.ROTATE if presented.now < presented.expires_at else Decision.REFUSE
    is_repeat = presented.now - presented.used_at <= REPEAT_WITHIN and presented.successor_used_at is None
    return Decision.REPEAT if is_repeat else Decision.END_FAMILY
