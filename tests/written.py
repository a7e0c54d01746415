"""What the application writes to its log, as an operator reads it."""

import io
import json
import logging
from typing import Any


class Written:
    """The lines that the application writes from now on, until its logs are configured again."""

    def __init__(self) -> None:
        self._stream = io.StringIO()
        handler = logging.getLogger().handlers[0]
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(self._stream)

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    def lines(self, event: str | None = None) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.text.splitlines()]
        return [line for line in lines if event in (None, line["event"])]

    def forget(self) -> None:
        """Only what comes from now on counts."""
        self._stream.seek(0)
        self._stream.truncate()
