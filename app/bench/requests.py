"""What the load generator sends, and what it measures of that."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

# The status of a request that was sent and never answered, or whose connection broke.
UNANSWERED = 0


@dataclass(slots=True)
class Request:
    """The bytes to send, the name under which its time is counted, and who wants the answer, if anybody does."""

    kind: str
    data: bytes
    # Takes status, body and Retry-After in seconds; gives what to send next, and after how many seconds.
    then: "Callable[[int, bytes, float], Iterable[tuple[float, Request]]] | None" = None
    # The number of the wish that it would fulfil, if it is a booking.
    wish: int | None = None


Schedule = Iterable[tuple[float, Request]]


@dataclass(slots=True)
class Sample:
    """One request and its answer, in seconds from the beginning of the run."""

    request: Request
    due: float
    sent: float
    ended: float
    status: int

    @property
    def kind(self) -> str:
        """What kind of request it was."""
        return self.request.kind

    @property
    def latency_ms(self) -> float:
        """Since it was due: what waited for a free connection waited for the server."""
        return (self.ended - self.due) * 1000

    @property
    def answer_ms(self) -> float:
        """Since it was sent: what the server itself took."""
        return (self.ended - self.sent) * 1000


@dataclass(slots=True)
class Run:
    """What a run has measured."""

    connections: int
    samples: list[Sample] = field(default_factory=list)
    seconds: float = 0.0
    # From the beginning until the last answer was there.
    drained_s: float = 0.0
    cpu_seconds: float = 0.0
    # How long those waited that were due and never sent: every connection was busy to the end.
    unsent_waited_s: list[float] = field(default_factory=list)
    reconnects: int = 0

    @property
    def unsent(self) -> int:
        """How many were due and never sent."""
        return len(self.unsent_waited_s)

    def statuses(self) -> Counter[int]:
        """How often each status was answered."""
        return Counter(sample.status for sample in self.samples)
