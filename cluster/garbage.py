"""The garbage collector of a node: it looks at little, often, and never at everything.

Orders and events leave no cycles (a test says so); what does leave some, such as a connection, is
young when it is dropped.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_YOUNG_ONLY: Final = (50_000, 10, 1 << 30)
"""Thresholds. Python's own first one, 700, looks several times at the events of every batch, all of
which are gone when the batch is. A full collection looks at every order that came since the start:
half a second for a million of them, in which nothing is matched and the other nodes elect a
leader."""
_EVENTS: Final = 2_000


@contextmanager
def no_collection() -> Iterator[None]:
    """Let the collector rest, and never look at what was made meanwhile: it stays, and to look for
    garbage in it would be a quarter of a replay. Afterwards there are no full collections."""
    gc.collect()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.set_threshold(*_YOUNG_ONLY)
        gc.enable()


class YoungEvents:
    """Lets what young events leave, orders, grow old in time.

    Python looks at young objects when so many more have come than have gone. In a node in which as
    many orders end as are entered that is hardly ever: 200,000 young ones gather, and one look at
    them takes 0.2 s, on all nodes at the same batch. Looked at soon, those of 2,000 events take
    0.5 ms. It pays to do so when the events are gone, which outnumber what they leave.

    What was there when nobody left any garbage is never looked at again: it is orders. After a look
    that found some (a request to the HTTP port that failed), the next one looks at the same objects
    once more, since others like that may have been alive yet.
    """

    __slots__ = ("_events", "_found_some")

    def __init__(self) -> None:
        self._events = 0
        self._found_some = False

    def add(self, count: int) -> None:
        """So many events were applied, told, and forgotten."""
        self._events += count
        if self._events >= _EVENTS and gc.isenabled():
            self._events = 0
            self._found_some = gc.collect(1 if self._found_some else 0) > 0
            if not self._found_some:
                gc.freeze()
