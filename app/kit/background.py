"""Work that goes on beside the requests until it is told to end."""

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress


class Background(ABC):
    """Who has one task, that looks at `is_stopping` in each of its rounds: its method `_work_forever`."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self.is_stopping = False

    def start(self) -> None:
        """Begin. Needs a running loop."""
        self._task = asyncio.create_task(self._work_forever())

    async def stop(self) -> None:
        """End it, in the middle of a round if need be."""
        # Python 3.11's `wait_for`, on which the pool waits for connections, can swallow a cancellation.
        self.is_stopping = True
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    @abstractmethod
    async def _work_forever(self) -> None:
        """The rounds."""
