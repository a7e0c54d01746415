"""The counts in Redis, where one is there anyway: PostgreSQL has nothing to do with them then."""

from collections.abc import Sequence

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.kit.errors import Unavailable
from app.ratelimit.rules import MINUTE_S
from app.ratelimit.service import Told, Total

# Nobody waits for a count; whoever shares it does, once a second.
ANSWER_S_MAX = 1.0
# This minute, the next one of which it is the previous, and one more for clocks that differ.
KEPT_S = 3 * MINUTE_S


class RedisStore:
    """Adds up in keys of a minute each, which go by themselves."""

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(
            url, decode_responses=True, socket_timeout=ANSWER_S_MAX, socket_connect_timeout=ANSWER_S_MAX
        )

    async def add(self, minute: int, told: Sequence[Told]) -> dict[tuple[int, bytes], Total]:
        """One round trip, however many were counted. Raises `Unavailable`."""
        pipeline = self._redis.pipeline(transaction=False)
        for one in told:
            pipeline.incrby(_key(one, minute), one.requests)
            pipeline.expire(_key(one, minute), KEPT_S)
            pipeline.get(_key(one, minute - 1))
        try:
            answers = await pipeline.execute()
        except (RedisError, OSError) as error:
            raise Unavailable from error
        return {
            (one.clinic_id, one.bucket): Total(int(requests), int(previous or 0))
            for one, requests, previous in zip(told, answers[0::3], answers[2::3], strict=True)
        }

    async def close(self) -> None:
        """Leave."""
        await self._redis.aclose()


def _key(told: Told, minute: int) -> str:
    return f"telemed:rate:{told.clinic_id}:{told.bucket.hex()}:{minute}"
