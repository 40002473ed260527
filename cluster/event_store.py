"""The numbered events of the day: the recent ones in memory, all of them in a file.

The events follow from the log, and a node replays its journal when it starts, so the file is made
anew at each start and never synced: after a crash there is nothing in it to trust or to repair.

    file    magic 8s | format version u32
    record  length u32 (of everything after the checksum) | crc32c u32 (over the same)
            | log index u64 | term u64 | time_ns u64 | first event_seq u64 | count u32
            | msgpack array of the events
All integers are little-endian; one record is one batch.
"""

from __future__ import annotations

import os
import struct
import time
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from crc32c import crc32c

from cluster.codec import pack, unpack
from cluster.interface import AppliedBatch

MAGIC: Final = b"EXCHEVT\n"
FORMAT_VERSION: Final = 1
FILE_NAME: Final = "events.evt"
WRITE_BYTES: Final = 64 << 10
WRITE_AFTER_S: Final = 1.0
_CHUNK_BATCHES: Final = 256

_HEADER = struct.Struct("<8sI")
_LENGTH_CRC = struct.Struct("<II")
_BATCH = struct.Struct("<QQQQI")


class EventStoreError(Exception):
    """The file could not be written or read back: which file, where, and what to do."""


class EventStore:
    """Batches of events, appended in order and read from any event number.

    `recent_batches` and `recent_events` bound what is kept in memory (up to twice as much is held
    between two clear-outs). `first_event_seq` is the number of the first event that will come.
    One thread only. Raises EventStoreError if the file cannot be made.
    """

    def __init__(
        self,
        directory: Path,
        *,
        recent_batches: int = 4096,
        recent_events: int = 100_000,
        first_event_seq: int = 1,
    ) -> None:
        assert recent_batches > 0, f"recent_batches is {recent_batches}"
        self._path = directory / FILE_NAME
        self._recent_batches = recent_batches
        self._recent_events = recent_events
        self.first_event_seq = first_event_seq
        """Number of the oldest event that can be read."""
        self.next_event_seq = first_event_seq
        """Number that the next event will have."""
        self._recent: list[AppliedBatch] = []
        self._recent_seqs: list[int] = []  # first_event_seq of each, for bisect
        self._buffer: list[bytes] = []
        self._buffered_bytes = 0
        self._buffered_seq = first_event_seq
        self._written_at = time.monotonic()
        # a block is what one write put into the file: its first event number, where it begins
        self._block_seqs: list[int] = []
        self._block_offsets: list[int] = []
        self._file_bytes = _HEADER.size
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._path.unlink(missing_ok=True)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(self._descriptor, _HEADER.pack(MAGIC, FORMAT_VERSION))
        except OSError as error:
            raise EventStoreError(f"{self._path}: cannot be made: {error}") from error

    @property
    def file_bytes(self) -> int:
        """Size of the file."""
        return self._file_bytes

    def append(self, batch: AppliedBatch) -> None:
        """Take the next batch; one without events is skipped.

        The batch's events must not be changed afterwards. Raises EventStoreError if the disk is
        full or failing."""
        events = batch.events
        if not events:
            return
        seq = batch.first_event_seq
        assert seq == self.next_event_seq, (
            f"log entry {batch.log_index} brings event {seq}, {self.next_event_seq} comes next"
        )
        self.next_event_seq = seq + len(events)
        self._recent.append(batch)
        self._recent_seqs.append(seq)
        self._forget()
        fields = _BATCH.pack(batch.log_index, batch.term, batch.time_ns, seq, len(events))
        packed = pack(events)
        length = len(fields) + len(packed)
        self._buffer += (_LENGTH_CRC.pack(length, crc32c(packed, crc32c(fields))), fields, packed)
        self._buffered_bytes += _LENGTH_CRC.size + length
        if (
            self._buffered_bytes >= WRITE_BYTES
            or time.monotonic() - self._written_at >= WRITE_AFTER_S
        ):
            self._write()

    def read_from(self, event_seq: int, max_events: int | None = None) -> Iterator[AppliedBatch]:
        """Batches from the one that contains `event_seq` up to the last one that is here now.

        Whole batches only, and no more of them once `max_events` or more events were given (None:
        no limit): go on behind the last one. None at all if `event_seq` is yet to come. Events out
        of the file are plain tuples, equal to those that were appended. Appending between two
        steps is allowed. Raises ValueError if `event_seq` is before the first event, and
        EventStoreError if the file is damaged."""
        if event_seq < self.first_event_seq:
            raise ValueError(
                f"event {event_seq} is not here; the first one is {self.first_event_seq}"
            )
        limit = self.next_event_seq if max_events is None else max_events
        return self._read(event_seq, self.next_event_seq, limit)

    def close(self) -> None:
        """Write what is left and close the file. Nothing can be appended or read after it."""
        if self._descriptor >= 0:
            try:
                self._write()
            finally:
                os.close(self._descriptor)
                self._descriptor = -1

    # --- memory -----------------------------------------------------------------------------------

    def _forget(self) -> None:
        """Drop the older part of memory once twice as much is held as was asked for."""
        seqs = self._recent_seqs
        held = self.next_event_seq - seqs[0]
        if len(seqs) <= 2 * self._recent_batches and held <= 2 * self._recent_events:
            return
        oldest = self.next_event_seq - self._recent_events
        count = max(len(seqs) - self._recent_batches, bisect_right(seqs, oldest) - 1)
        count = min(count, len(seqs) - 1)
        del seqs[:count], self._recent[:count]

    def _read(self, seq: int, end: int, limit: int) -> Iterator[AppliedBatch]:
        while seq < end and limit > 0:
            if seq >= self._recent_seqs[0]:
                at = bisect_right(self._recent_seqs, seq) - 1
                batches = iter(self._recent[at : at + _CHUNK_BATCHES])
            else:
                batches = self._read_block(seq)
            for batch in batches:
                count = len(batch.events)
                seq = batch.first_event_seq + count
                limit -= count
                yield batch
                if limit <= 0 or seq >= end:
                    return

    # --- file -------------------------------------------------------------------------------------

    def _write(self) -> None:
        """Put the buffer at the end of the file, as one block."""
        self._written_at = time.monotonic()
        if not self._buffer:
            return
        data = b"".join(self._buffer)
        try:
            written = os.pwrite(self._descriptor, data, self._file_bytes)
            while written < len(data):
                rest = memoryview(data)[written:]
                written += os.pwrite(self._descriptor, rest, self._file_bytes + written)
        except OSError as error:
            raise EventStoreError(
                f"{self._path}: cannot be written: {error}. Free space or replace the disk, then "
                "start this node again; the events are made anew from the journal"
            ) from error
        self._block_seqs.append(self._buffered_seq)
        self._block_offsets.append(self._file_bytes)
        self._file_bytes += len(data)
        self._buffer.clear()
        self._buffered_bytes = 0
        self._buffered_seq = self.next_event_seq

    def _read_block(self, seq: int) -> Iterator[AppliedBatch]:
        """Batches of the block that holds event `seq`, from the one that contains it on."""
        if seq >= self._buffered_seq:
            self._write()
        block = bisect_right(self._block_seqs, seq) - 1
        begin = self._block_offsets[block]
        is_last = block + 1 == len(self._block_offsets)
        end = self._file_bytes if is_last else self._block_offsets[block + 1]
        end_seq = self._buffered_seq if is_last else self._block_seqs[block + 1]
        try:
            data = os.pread(self._descriptor, end - begin, begin)
        except OSError as error:
            raise self._damaged(begin, str(error)) from error
        at = 0
        while at < end - begin:
            if len(data) - at < _LENGTH_CRC.size + _BATCH.size:
                raise self._damaged(begin + at, "the file is too short")
            length, crc = _LENGTH_CRC.unpack_from(data, at)
            body = at + _LENGTH_CRC.size
            log_index, term, time_ns, first_seq, count = _BATCH.unpack_from(data, body)
            if first_seq + count > seq:
                if crc32c(data[body : body + length]) != crc:
                    raise self._damaged(begin + at, "checksum error")
                if first_seq > seq:
                    break
                events = list(unpack(data[body + _BATCH.size : body + length]))
                yield AppliedBatch(log_index, term, time_ns, first_seq, events)
                seq = first_seq + count
            at = body + length
        if seq < end_seq:
            raise self._damaged(begin + at, f"event {seq} is not where it should be")

    def _damaged(self, offset: int, what: str) -> EventStoreError:
        return EventStoreError(
            f"{self._path} at byte {offset}: {what}. Start this node again; the events are made "
            "anew from the journal"
        )
