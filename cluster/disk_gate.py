"""What promises durability waits here until the disk has it.

Whatever a tick adds to the journal is written and fdatasynced on a thread of its own, one flush at
a time, so that heartbeats go on while a disk is slow. A vote or an acknowledgement leaves when the
flush that covers it has returned; a peer's acknowledgement of what our own disk does not have yet
counts when it does (A5).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from cluster.journal import FlushJob, Journal
from cluster.runtime import Flusher, Network, Runtime

_DISK_HANGS_S: Final = 1.0
"""A flush that takes longer counts as a disk that hangs."""

Message = dict[str, Any]


class DiskGate:
    """The flushes of one journal, and who waits for them. Belongs to the event loop.

    `on_durable(acknowledgements)` follows each flush, with what peers had acknowledged meanwhile.
    `on_error(error)` is called when a flush failed: nothing may leave after it.
    """

    def __init__(
        self,
        journal: Journal,
        runtime: Runtime,
        *,
        on_durable: Callable[[dict[int, Message]], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        self._journal = journal
        self._runtime = runtime
        self._on_durable = on_durable
        self._on_error = on_error
        self._begun = 0
        self._begun_s = 0.0
        self._done = 0
        self._messages: deque[tuple[int, int, int | None, Message]] = deque()
        self._acknowledgements: dict[int, Message] = {}
        self._closed = False
        self._flusher: Flusher
        self.network: Network
        """Where messages leave; set before the first one is held."""

    def start(self) -> None:
        """Start the disk thread."""
        self._flusher = self._runtime.flusher(self._journal, self._flushed)

    def close(self, *, flush: bool) -> None:
        """End the disk thread, after a last flush if asked for."""
        if not self._closed and hasattr(self, "_flusher"):
            if flush:
                self.flush()
            self._flusher.close()
        self._closed = True

    @property
    def hangs(self) -> bool:
        """The flush under way takes longer than any disk may. A leader would acknowledge nothing
        while its heartbeats go on, so it must not lead, nor stand."""
        running = self._begun > self._done
        return running and self._runtime.time() - self._begun_s > _DISK_HANGS_S

    def excuse(self, late_s: float) -> None:
        """Our own loop was late by so much: it could not hear that a flush is done."""
        self._begun_s += late_s

    @property
    def holds_vote_request(self) -> bool:
        """Our request for votes still waits for our own disk: not the time for another term."""
        return any(waits[3]["type"] == "request_vote" for waits in self._messages)

    @property
    def ticket(self) -> int:
        """What `is_served` takes: the flush that will cover everything noted so far."""
        return self._begun + (1 if self._journal.needs_sync() else 0)

    def is_served(self, ticket: int) -> bool:
        """Whether that flush has returned."""
        return ticket <= self._done

    def hold(self, peer_id: int, epoch: int | None, message: Message) -> None:
        """Send a message once everything noted so far is durable; with an `epoch` only if that
        connection still stands then."""
        self._messages.append((self.ticket, peer_id, epoch, message))

    def hold_acknowledgement(self, peer_id: int, message: Message) -> None:
        """Keep a peer's acknowledgement, in the place of an older one, until the next flush."""
        self._acknowledgements[peer_id] = message

    def forget_acknowledgements(self, peer_id: int | None = None) -> None:
        """Those of a peer, or all of them, count no more."""
        if peer_id is None:
            self._acknowledgements.clear()
        else:
            self._acknowledgements.pop(peer_id, None)

    def flush(self) -> None:
        """Hand what was added since the last flush to the disk thread."""
        if self._begun == self._done and self._journal.needs_sync():
            job = self._journal.flush_begin()
            if job is not None:
                self._begun += 1
                self._begun_s = self._runtime.time()
                self._flusher.submit(job)

    def _flushed(self, job: FlushJob, error: BaseException | None) -> None:
        if self._closed:
            return
        try:
            if error is not None:
                raise error
            self._journal.flush_end(job)
            self._done += 1
            while self._messages and self.is_served(self._messages[0][0]):
                _, peer_id, epoch, message = self._messages.popleft()
                if epoch is None or self.network.epoch(peer_id) == epoch:
                    self.network.send(peer_id, message)
            waiting, self._acknowledgements = self._acknowledgements, {}
            self._on_durable(waiting)
        except Exception as raised:
            self._on_error(raised)
