"""PostgreSQL's protocol, version 3, as far as a wire in the middle must know it: where a message ends, and whose it is.

https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

STARTUP = "(startup)"
GOODBYE = "(goodbye)"
# The first message of a client has no type.
_UNTYPED = "startup"
_LENGTH_BYTES = 4


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `statement` is the SQL text for or of which it is."""

    link: int
    is_from_client: bool
    kind: str
    statement: str
    content: bytes

    def __str__(self) -> str:
        return f"{'->' if self.is_from_client else '<-'} {self.kind}"


class Framer:
    """Cuts one direction of a connection into messages."""

    def __init__(self, *, begins_untyped: bool) -> None:
        self._buffer = bytearray()
        self._is_untyped = begins_untyped

    def feed(self, data: bytes) -> Iterator[tuple[str, bytes]]:
        """The messages that are whole by now, with their types."""
        self._buffer += data
        while True:
            type_bytes = 0 if self._is_untyped else 1
            head = type_bytes + _LENGTH_BYTES
            if len(self._buffer) < head:
                return
            # The length counts itself, but not the type.
            end = type_bytes + int.from_bytes(self._buffer[type_bytes:head], "big")
            if len(self._buffer) < end:
                return
            content = bytes(self._buffer[:end])
            del self._buffer[:end]
            yield (_UNTYPED if self._is_untyped else chr(content[0])), content
            self._is_untyped = False


class Conversation:
    """Tells of each message of a connection for which statement it is.

    What a client sends up to a Sync is one exchange, what a server sends up to a ReadyForQuery its answer.
    """

    def __init__(self) -> None:
        self._statements: dict[bytes, str] = {}
        self._asking = ""
        self._unanswered: deque[str] = deque()

    def asked(self, kind: str, content: bytes) -> str:
        """The statement of a client's message."""
        body = content[1 + _LENGTH_BYTES :]
        if kind == _UNTYPED:
            self._asking = STARTUP
        elif kind == "P":
            name, text = body.split(b"\0")[:2]
            self._asking = self._statements[name] = text.decode()
        elif kind == "B":
            self._asking = self._statements.get(body.split(b"\0")[1], "")
        elif kind == "Q":
            self._asking = body.rstrip(b"\0").decode()
        elif kind == "X":
            return GOODBYE
        if kind in (_UNTYPED, "Q", "S"):
            self._unanswered.append(self._asking)
        return self._asking

    def answered(self, kind: str) -> str:
        """The statement of a server's message."""
        statement = self._unanswered[0] if self._unanswered else self._asking
        if kind == "Z" and self._unanswered:
            self._unanswered.popleft()
        return statement
