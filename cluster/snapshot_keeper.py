"""When a node takes a snapshot, and what follows from one: less journal, and a check of the state.

Automatic: once the journal has grown by a set size since the last snapshot. The members do it at
different sizes, so that not all of them are busy at the same moment."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from cluster.replica import Replica
from cluster.runtime import Runtime
from cluster.snapshot_maker import SnapshotMade
from cluster.storage import NodeStorage

_LOOK_EVERY_S: Final = 0.25
_TRIM_EVERY_S: Final = 0.005
_RETRY_AFTER_S: Final = 60.0
_BUSY_FACTOR: Final = 4
"""A snapshot that a peer is fetching is not taken away until the journal is this many times over
its size."""

MakeSnapshot = Callable[[int], SnapshotMade]

logger = logging.getLogger(__name__)


class ReplicaDiverged(Exception):
    """A replay of the journal led to another state than the node has: it must stop."""


class SnapshotKeeper:
    """Snapshots of one node. `make(index)` runs beside the loop and returns once the snapshot after
    that entry is durable. `position()` is the last entry that is applied, and on our disk."""

    def __init__(
        self,
        storage: NodeStorage,
        replica: Replica,
        runtime: Runtime,
        make: MakeSnapshot,
        *,
        after_bytes: int,
        position: Callable[[], int],
        flush_day_files: Callable[[], object],
        is_fetched: Callable[[], bool],
        on_fatal: Callable[[BaseException], None],
        on_taken: Callable[[], None] = lambda: None,
    ) -> None:
        """`flush_day_files()` hands all that is applied to the operating system, from where the
        maker syncs it. `is_fetched()` tells whether a peer is fetching one at the moment."""
        self._storage = storage
        self._replica = replica
        self._runtime = runtime
        self._make = make
        self._after_bytes = after_bytes
        self._position = position
        self._flush_day_files = flush_day_files
        self._is_fetched = is_fetched
        self._on_fatal = on_fatal
        self._on_taken = on_taken
        self._begun_at_bytes = 0
        self._retry_s = float("-inf")
        journal = storage.journal
        self._bytes_before = sum(
            len(journal.entry(index)[0])
            for index in range(storage.base_index + 1, journal.last_index + 1)
        )
        """Written after the last snapshot, and before the journal was opened."""
        self.last_index = storage.base_index
        """Entry after which the newest snapshot is, 0 before the first."""
        self.last_made: SnapshotMade | None = None
        self.taken = 0
        self.failed = 0
        self.is_running = False
        self._is_checking = False
        self._closed = False

    def close(self) -> None:
        """Take no snapshot any more; one that is being made changes nothing here."""
        self._closed = True

    def start(self) -> None:
        """Look from time to time from now on."""
        self._runtime.call_later(_LOOK_EVERY_S, self._look)

    @property
    def bytes_since(self) -> int:
        """By how much the journal has grown since the newest snapshot."""
        return self._bytes_before + self._storage.journal.bytes_written

    def take(self) -> int:
        """Begin a snapshot; returns the log entry after which it will be. Raises ValueError with a
        sentence when that cannot be."""
        index = self._position()
        if self.is_running:
            raise ValueError("a snapshot is being taken already")
        if index <= self.last_index:
            raise ValueError(f"the snapshot after entry {self.last_index} is the newest possible")
        self.is_running = True
        self._begun_at_bytes = self._storage.journal.bytes_written
        self._flush_day_files()
        logger.info("taking a snapshot after entry %d", index)
        self._runtime.background(lambda: self._make(index), self._made)
        return index

    def take_at_once(self) -> None:
        """A follower needs a snapshot and there is none for it: begin one, unless one is on its way
        or cannot be."""
        waits = self._closed or self._runtime.time() < self._retry_s
        if not waits and not self.is_running and self._position() > self.last_index:
            self.take()

    def check(self, index: int) -> None:
        """Read a snapshot that somebody found damaged, and put it aside if it is."""
        if not self._is_checking and index in self._storage.snapshots.indexes():
            self._is_checking = True
            self._runtime.background(
                lambda: self._storage.snapshots.is_good(index), self._was_checked
            )

    def _was_checked(self, _: bool | None, error: BaseException | None) -> None:
        self._is_checking = False
        if error is not None and not self._closed:
            self._on_fatal(error)

    def status(self) -> dict[str, Any]:
        """Facts for `exchange status` and the metrics."""
        made = self.last_made
        return {
            "snapshot_index": self.last_index,
            "snapshot_bytes": None if made is None else made.size,
            "snapshot_seconds": None if made is None else made.seconds,
            "snapshots_taken": self.taken,
            "snapshots_failed": self.failed,
            "snapshot_running": self.is_running,
            "journal_bytes_since_snapshot": self.bytes_since,
        }

    def _look(self) -> None:
        if self._closed:
            return
        self._runtime.call_later(_LOOK_EVERY_S, self._look)
        grown = self.bytes_since
        if self.is_running or grown < self._after_bytes or self._runtime.time() < self._retry_s:
            return
        if self._is_fetched() and grown < _BUSY_FACTOR * self._after_bytes:
            return
        if self._position() > self.last_index:
            try:
                self.take()
            except Exception as error:  # the disk, most likely
                self._on_fatal(error)

    def _made(self, made: SnapshotMade | None, error: BaseException | None) -> None:
        self.is_running = False
        if self._closed:
            return
        if made is None:
            self.failed += 1
            self._retry_s = self._runtime.time() + _RETRY_AFTER_S
            logger.error("%s; trading goes on, the journal is kept", error)
            return
        try:
            self._compare(made)
        except ReplicaDiverged as diverged:
            self._on_fatal(diverged)
            return
        self.taken += 1
        self.last_made = made
        self.last_index = made.index
        self._bytes_before = -self._begun_at_bytes
        if len(made.kept) > 1:
            self._trim(made.kept[-2])
        self._on_taken()
        logger.info("snapshot after entry %d: %d bytes", made.index, made.size)

    def _trim(self, first_index: int) -> None:
        """Forget the entries that the older of two good snapshots includes, a little at a time, so
        that trading does not wait for it. What lies between the two is kept, for followers that are
        a little behind, and in case the newer one is damaged."""
        if not self._closed and self._storage.journal.trim(first_index):
            self._runtime.call_later(_TRIM_EVERY_S, lambda: self._trim(first_index))

    def _compare(self, made: SnapshotMade) -> None:
        """Equal marks have equal hashes, or replaying the log does not lead to our state."""
        for mark_id, event_seq, log_index, state_hash in made.marks:
            ours = self._replica.marks.get(mark_id)
            if ours is None or ours.log_index != log_index:
                continue  # forgotten, or the name was used again
            if ours.state_hash != state_hash:
                raise ReplicaDiverged(
                    f"at entry {log_index} (event {event_seq}) this node's state was "
                    f"{ours.state_hash}, a replay of its journal gives {state_hash}. Nothing that "
                    "it says can be trusted: keep its folder for an inquiry and follow the runbook "
                    "'State hashes differ' in cluster/RUNBOOKS.md"
                )
