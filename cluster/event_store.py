"""The numbered events of the day: the recent ones in memory, all of them in files.

The files are those of cluster/day_files.py: they outlive the process and are cut back to the event
that a snapshot names. The payload of a block is a row of records, one per batch, or several when it
has many events:

    record  length u32 (of everything after it) | log index u64 | term u64 | time_ns u64
            | first event_seq u64 | count u32 | msgpack array of the events
All integers are little-endian.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from cluster.codec import pack, unpack
from cluster.day_files import (
    BLOCK_BYTES,
    MAX_BYTES,
    SEGMENT_BYTES,
    DayFileError,
    DayFiles,
    FileKind,
)
from cluster.disk import Disk, RealDisk
from cluster.interface import AppliedBatch
from oms.events import Event

EVENT_FILES: Final = FileKind(b"EXCHEVT\n", "events-", ".evt")
_CHUNK_RECORDS: Final = 256
_EVENTS_PER_RECORD: Final = 4_096
"""Whoever wants one event unpacks a record: 1 ms. A mass cancel of a million orders would be half a
second for each client that comes late, in which a leader does nothing else."""
_REAL_DISK: Final = RealDisk()

_LENGTH = struct.Struct("<I")
_HEADER = struct.Struct("<IQQQQI")
_EVENTS = struct.Struct("<QI")
_EVENTS_AT: Final = _HEADER.size - _EVENTS.size


class EventStoreError(Exception):
    """A file could not be written or read back: which one, where, and what to do."""


class RecentRecords:
    """The latest records, at most `max_records`, `max_events` and `max_bytes` (but always the last
    one).

    Packed, as they go into the files: only a client that comes late reads them, and 100,000 events
    as objects would be 50 MB between which every new object had to find its place, far from the
    one before it in the memory of the machine.
    """

    def __init__(self, max_records: int, max_events: int, max_bytes: int) -> None:
        assert max_records > 0, f"max_records is {max_records}"
        self._max_records = max_records
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._bytes = 0
        self._records: deque[tuple[int, bytes]] = deque()
        """Each with the number of its first event."""

    def __len__(self) -> int:
        return len(self._records)

    def append(self, first_event_seq: int, record: bytes, next_event_seq: int) -> None:
        """Take the next record, of the events before `next_event_seq`, and forget what is beyond
        the bounds."""
        records = self._records
        records.append((first_event_seq, record))
        self._bytes += len(record)
        oldest = next_event_seq - self._max_events
        while len(records) > 1 and (
            len(records) > self._max_records
            or records[0][0] < oldest
            or self._bytes > self._max_bytes
        ):
            self._bytes -= len(records.popleft()[1])

    def some_from(self, event_seq: int) -> list[bytes]:
        """Some records in order from the one that has this event, which is not yet to come; none
        when it has been forgotten."""
        firsts = [first_event_seq for first_event_seq, _ in self._records]
        at = bisect_right(firsts, event_seq) - 1
        if at < 0:
            return []
        return [record for _, record in islice(self._records, at, at + _CHUNK_RECORDS)]


class EventStore:
    """Batches of events, appended in order and read from any event number.

    Opening keeps the events before `resume_at` as far as the files have them without a gap, and
    drops the rest; 1 begins anew. `recent_records`, `recent_events` and `recent_bytes` bound what
    is kept in memory, `max_bytes` the files: beyond it the oldest one of `segment_bytes` goes.
    Events are written `block_bytes` at a time, on the caller's thread. One thread only. Raises
    EventStoreError if the files cannot be opened.
    """

    def __init__(
        self,
        directory: Path,
        *,
        resume_at: int = 1,
        disk: Disk = _REAL_DISK,
        segment_bytes: int = SEGMENT_BYTES,
        max_bytes: int = MAX_BYTES,
        block_bytes: int = BLOCK_BYTES,
        recent_records: int = 4096,
        recent_events: int = 100_000,
        recent_bytes: int = 32 << 20,
    ) -> None:
        self._directory = directory
        self._block_bytes = block_bytes
        self.next_event_seq = resume_at
        """Number that the next event will have."""
        self._recent = RecentRecords(recent_records, recent_events, recent_bytes)
        self._buffer: list[bytes] = []
        self._buffered_bytes = 0
        try:
            self._files = DayFiles(
                EVENT_FILES,
                directory,
                resume_at=resume_at,
                disk=disk,
                segment_bytes=segment_bytes,
                max_bytes=max_bytes,
            )
        except OSError as error:
            raise EventStoreError(
                f"{directory}: cannot be opened: {error}. Repair that, or move the folder away: "
                "the node starts without the events in it, and other nodes have them"
            ) from error

    @property
    def first_event_seq(self) -> int:
        """Number of the oldest event that can be read."""
        return self._files.first_number

    @property
    def file_bytes(self) -> int:
        """Size of all files."""
        return self._files.total_bytes

    def append(self, batch: AppliedBatch) -> None:
        """Take the next batch; one without events is skipped. Raises EventStoreError if the disk is
        full or failing."""
        events = batch.events
        if not events:
            return
        seq = batch.first_event_seq
        assert seq == self.next_event_seq, (
            f"log entry {batch.log_index} brings event {seq}, {self.next_event_seq} comes next"
        )
        for at in range(0, len(events), _EVENTS_PER_RECORD):
            self._append_record(batch, events[at : at + _EVENTS_PER_RECORD])

    def _append_record(self, batch: AppliedBatch, events: list[Event]) -> None:
        """The next events of a batch."""
        seq = self.next_event_seq
        self.next_event_seq += len(events)
        packed = pack(events)
        length = _HEADER.size - _LENGTH.size + len(packed)
        header = _HEADER.pack(length, batch.log_index, batch.term, batch.time_ns, seq, len(events))
        record = header + packed
        self._recent.append(seq, record, self.next_event_seq)
        self._buffer.append(record)
        self._buffered_bytes += len(record)
        if self._buffered_bytes >= self._block_bytes:
            self.flush()

    def read_from(self, event_seq: int, max_events: int | None = None) -> Iterator[AppliedBatch]:
        """Batches from the one that contains `event_seq` up to the last one that is here now; one
        of many events in pieces of 4,096, each a batch with the same log index.

        Whole pieces only, and no more of them once `max_events` or more events were given (None:
        no limit): go on behind the last one. None at all if `event_seq` is yet to come. Events are
        plain tuples, equal to those that were appended. Appending between two steps is allowed.
        Raises ValueError if `event_seq` is before the first event, and EventStoreError if a file is
        damaged."""
        self._check_is_here(event_seq)
        limit = self.next_event_seq if max_events is None else max_events
        return self._read(event_seq, self.next_event_seq, limit)

    def flush(self) -> None:
        """Hand everything to the operating system, without a sync. Raises EventStoreError."""
        if not self._buffer:
            return
        first = self._files.next_number
        try:
            self._files.append(first, self.next_event_seq - first, b"".join(self._buffer))
        except OSError as error:
            raise EventStoreError(
                f"{self._directory}: cannot be written: {error}. Free space or replace the disk, "
                "then start this node again; what is missing is made anew from the journal"
            ) from error
        self._buffer.clear()
        self._buffered_bytes = 0

    def files(self) -> list[tuple[str, int]]:
        """Name and length of each file, oldest first, after a flush. Raises EventStoreError.

        A file that is not the last never changes, the last one only grows."""
        self.flush()
        return self._files.files()

    def close(self) -> None:
        """Write what is left and close the files. Nothing can be appended or read after it."""
        try:
            self.flush()
        finally:
            self._files.close()

    # --- inside -----------------------------------------------------------------------------------

    def _check_is_here(self, event_seq: int) -> None:
        if event_seq < self.first_event_seq:
            raise ValueError(
                f"event {event_seq} is not here; the first one is {self.first_event_seq}"
            )

    def _read(self, seq: int, end: int, limit: int) -> Iterator[AppliedBatch]:
        while seq < end and limit > 0:
            recent = self._recent.some_from(seq)
            for batch in map(_batch_of, recent) if recent else self._read_block(seq):
                count = len(batch.events)
                seq = batch.first_event_seq + count
                limit -= count
                yield batch
                if limit <= 0 or seq >= end:
                    return

    def _read_block(self, seq: int) -> Iterator[AppliedBatch]:
        """Batches of the block that holds event `seq`, from the one that contains it on."""
        if seq >= self._files.next_number:
            self.flush()
        self._check_is_here(seq)  # its file may have gone since the last step
        try:
            block = self._files.read(seq)
        except (OSError, DayFileError) as error:
            raise EventStoreError(
                f"{error}. Start this node again: it checks its files and goes on without those "
                "that are damaged; other nodes have the events"
            ) from error
        payload, at = block.payload, 0
        while seq < block.end:
            (length,) = _LENGTH.unpack_from(payload, at)
            behind = at + _LENGTH.size + length
            first_seq, count = _EVENTS.unpack_from(payload, at + _EVENTS_AT)
            if first_seq + count > seq:
                yield _batch_of(payload[at:behind])
                seq = first_seq + count
            at = behind


def _batch_of(record: bytes) -> AppliedBatch:
    """The batch, or piece of one, that was packed into a record."""
    _, log_index, term, time_ns, first_event_seq, _ = _HEADER.unpack_from(record)
    events = list(unpack(record[_HEADER.size :]))
    return AppliedBatch(log_index, term, time_ns, first_event_seq, events)
