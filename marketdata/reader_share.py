"""How much of its time the market-data process gives to those who read its pages.

The pages are made on the event loop that reads the lines, and a long one takes milliseconds. So one
is made at a time, the loop comes by in between, and all of them together get a share of the time:
what they have used is paid for with a pause before the next page. However many ask, the lines are
read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

SHARE = 0.25
"""Of the time, at most."""
MAX_WAITING = 200
"""Who comes when so many are waiting is told to come later."""
_SHORTEST_PAUSE_S = 0.002
"""A debt below this is carried over: a timer has no finer steps, and short pages are many."""


class TooManyReaders(Exception):
    """There is no room in the queue."""


class ReaderShare:
    """Who wants to make a page does it in an `async with share.turn():`, without any await."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.waiting = 0
        """For their turn, or at it."""
        self.refused = 0
        self._clock = clock
        self._lock = asyncio.Lock()
        self._paid_at_s = 0.0
        """When all that was used will be paid for."""

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """First come, first served. Raises TooManyReaders."""
        if self.waiting >= MAX_WAITING:
            self.refused += 1
            raise TooManyReaders
        self.waiting += 1
        try:
            async with self._lock:
                await asyncio.sleep(max(0.0, self._pause_s()))
                begun_s = self._clock()
                try:
                    yield
                finally:
                    used_s = self._clock() - begun_s
                    self._paid_at_s = max(self._paid_at_s, begun_s) + used_s / SHARE
        finally:
            self.waiting -= 1

    def _pause_s(self) -> float:
        debt_s = self._paid_at_s - self._clock()
        return debt_s if debt_s >= _SHORTEST_PAUSE_S else 0.0
