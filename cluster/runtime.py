"""What consensus needs of the outside world: time, timers, connections to peers, a disk thread.

The live one is an event loop, TCP and a thread. A simulation puts its own in the same place, and so
runs the very code that runs in production.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from cluster.journal import FlushJob, Journal
from cluster.settings import NodeSettings
from cluster.transport import PeerNetwork

_CLOSE_TIMEOUT_S = 5.0
T = TypeVar("T")
FlushDone = Callable[[FlushJob, BaseException | None], None]


class Network(Protocol):
    """Connections to the peers; see PeerNetwork."""

    @property
    def connected(self) -> list[int]: ...
    def epoch(self, peer_id: int) -> int | None: ...
    def backlog(self, peer_id: int) -> int: ...
    def send(self, peer_id: int, message: dict[str, Any]) -> None: ...
    async def start(self) -> None: ...
    async def close(self) -> None: ...


class Flusher(Protocol):
    """Runs the journal's flushes one after the other, beside the event loop."""

    def submit(self, job: FlushJob) -> None: ...
    def close(self) -> None: ...


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None: ...


class Runtime(Protocol):
    """Time, timers, network and disk of one node. Every callback runs on the node's loop."""

    def time(self) -> float: ...
    def call_soon(self, callback: Callable[[], None]) -> object: ...
    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer: ...
    def flusher(self, journal: Journal, done: FlushDone) -> Flusher: ...
    def background(
        self, work: Callable[[], T], done: Callable[[T | None, BaseException | None], None]
    ) -> None:
        """Run `work` beside the loop; done(result, error) follows on the loop."""

    def network(
        self,
        settings: NodeSettings,
        *,
        on_message: Callable[[int, int, dict[str, Any]], None],
        on_connected: Callable[[int, int], None],
        on_disconnected: Callable[[int, int], None],
    ) -> Network: ...


class LiveRuntime:
    """The running event loop, TCP connections, and a thread for the disk."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self.time = loop.time

    def call_soon(self, callback: Callable[[], None]) -> object:
        return self._loop.call_soon(callback)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        return self._loop.call_later(delay_s, callback)

    def flusher(self, journal: Journal, done: FlushDone) -> Flusher:
        return FlushThread(journal, self._loop, done)

    def background(
        self, work: Callable[[], T], done: Callable[[T | None, BaseException | None], None]
    ) -> None:
        def run() -> None:
            result: T | None = None
            error: BaseException | None = None
            try:
                result = work()
            except Exception as raised:  # handed to the loop
                error = raised
            _call_on(self._loop, lambda: done(result, error))

        threading.Thread(target=run, name="background", daemon=True).start()

    def network(
        self,
        settings: NodeSettings,
        *,
        on_message: Callable[[int, int, dict[str, Any]], None],
        on_connected: Callable[[int, int], None],
        on_disconnected: Callable[[int, int], None],
    ) -> Network:
        return PeerNetwork(
            settings.node_id,
            settings.raft_addresses,
            settings.raft_bind,
            on_message=on_message,
            on_connected=on_connected,
            on_disconnected=on_disconnected,
            first_epoch=time.time_ns(),
            tls=settings.tls,
        )


class FlushThread:
    """A thread that writes and syncs, so that heartbeats go on while a disk is slow."""

    def __init__(self, journal: Journal, loop: asyncio.AbstractEventLoop, done: FlushDone) -> None:
        self._journal = journal
        self._loop = loop
        self._done = done
        self._jobs: queue.SimpleQueue[FlushJob | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def submit(self, job: FlushJob) -> None:
        """Run a flush; `done(job, error)` follows on the loop."""
        self._jobs.put(job)

    def close(self) -> None:
        """Finish what was submitted; a disk that hangs is not waited for."""
        self._jobs.put(None)
        self._thread.join(_CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            error: BaseException | None = None
            try:
                self._journal.flush_run(job)
            except Exception as raised:  # handed to the loop, which stops the node
                error = raised
            _call_on(self._loop, functools.partial(self._done, job, error))


def _call_on(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    """From another thread; nothing happens once the loop is closed."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(callback)
