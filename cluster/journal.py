"""The Raft log and vote on disk: pysyncobj's Journal contract over append-only segment files.

The log lives in memory as a list of tuples; every change to it, and every vote, is also a record
in a buffer. A flush takes the whole buffer in one write and one fdatasync (group commit), on
another thread if the caller likes, while the loop goes on adding. Nothing that promises durability
may leave the node before `durable_index` and `durable_term_vote` say so.

A truncation is a record too: nothing is ever overwritten. After the first failed write or sync the
journal refuses every change (a sync that failed must never be tried again: see disk.py).
File format, and what happens to a torn tail: segment.py.
"""

from __future__ import annotations

import errno
import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, overload

from cluster.disk import DirectoryLock, Disk, RealDisk
from cluster.replay import Entry, LogReplay, RecoveredLog, recover
from cluster.segment import (
    MAX_VOTED_FOR_BYTES,
    TEMPORARY_SUFFIX,
    JournalError,
    LogState,
    RecordKind,
    encode_record,
)
from cluster.segment_writer import SegmentWriter
from cluster.timings import Timings

__all__ = ["Disk", "Entry", "FlushJob", "Journal", "JournalError", "RealDisk"]

logger = logging.getLogger(__name__)

_TRIM_ENTRIES: Final = 512
DEFAULT_SEGMENT_BYTES: Final = 64 << 20
_REAL_DISK: Final = RealDisk()


@dataclass(slots=True)
class FlushJob:
    """One flush. The loop makes it and ends it; in between it may run on another thread.

    `before` is the state of log and vote before `data`. `durable_index` and `durable_term_vote` are
    what will be on disk; a truncation while the job runs lowers the former. Entries below
    `first_index` are not needed any more; `highest_index` is the last one after `data`.
    """

    data: bytes
    before: LogState
    highest_index: int
    first_index: int
    durable_index: int
    durable_term_vote: tuple[int, str | None]
    done: bool = False
    seconds: float = 0.0


class Journal:
    """Log and vote of one node. All methods but `flush_run` belong to one thread (the loop).

    `segment_bytes` is the size of a segment file; a larger flush gets a larger file. Opening makes
    the directory if need be, locks it and reads everything back; it raises JournalError if another
    process has it, if a file is damaged, or if a newer program wrote it.
    """

    def __init__(
        self,
        directory: Path,
        *,
        segment_bytes: int = DEFAULT_SEGMENT_BYTES,
        disk: Disk = _REAL_DISK,
    ) -> None:
        self._directory = directory
        self._disk = disk
        self._failure: str | None = None
        self._failed_by: BaseException | None = None
        self._closed = False
        self._running: FlushJob | None = None
        self._buffer: list[bytes] = []
        self._writer = SegmentWriter(disk, directory, segment_bytes)
        self._writer_lock = threading.Lock()
        self.fsync_count = 0
        """Flushes since the journal was opened."""
        self.flush_timings = Timings()
        """How long flushes took: write, fdatasync, and a new file where one began."""
        self.bytes_written = 0
        """Bytes of all flushes since the journal was opened."""
        self._lock = self._take_lock()
        try:
            replay = self._recover()
        except BaseException:
            self._writer.close()
            self._lock.release()
            raise
        self._entries: list[Entry] = replay.entries
        self._first_index = replay.first_index
        self._term = replay.term
        self._voted_for = replay.voted_for
        self._submitted = replay.state
        self._commit_index = replay.commit_index
        self.recovered_commit_index = min(replay.commit_index, self.last_index)
        """When the journal was opened, entries up to here were known to be committed (0: none).
        Usually all but those of the last flush."""
        self.durable_index = self.last_index
        """Every entry of the log up to here is on disk, by an fdatasync that returned."""
        self.durable_term_vote: tuple[int, str | None] = (self._term, self._voted_for)
        """The (term, voted for) that is on disk."""

    def _take_lock(self) -> DirectoryLock:
        try:
            self._disk.make_directory(self._directory)
            return self._disk.lock(self._directory)
        except BlockingIOError as error:
            raise JournalError(
                f"{self._directory}: another process uses this journal; stop it first, or give "
                "this node its own data folder"
            ) from error
        except OSError as error:
            raise JournalError(f"{self._directory}: cannot be opened: {error}") from error

    def _recover(self) -> LogReplay:
        try:
            recovered = recover(self._disk, self._directory)
            for name in self._disk.list_directory(self._directory):
                if name.endswith(TEMPORARY_SUFFIX):
                    self._disk.remove(self._directory / name)
            if recovered.segments:
                self._tell_torn_tail(recovered)
                self._writer.resume(
                    recovered.segments, recovered.dirty_end, marked=recovered.marked
                )
        except OSError as error:
            raise JournalError(f"{self._directory}: cannot be read back: {error}") from error
        return recovered.replay

    def _tell_torn_tail(self, recovered: RecoveredLog) -> None:
        last = recovered.segments[-1]
        if recovered.dirty_end > last.used_bytes:
            logger.warning(
                "%s: the last write before the crash was torn; bytes %d to %d are cut off (no "
                "fdatasync covered them, so nobody was told that they are safe)",
                last.path,
                last.used_bytes,
                recovered.dirty_end,
            )

    # --- the contract of pysyncobj, under its names -----------------------------------------------

    def add(self, command: bytes, idx: int, term: int) -> None:
        """Append an entry. An empty log takes any index, else it must be the next one."""
        self._refuse_after_failure()
        entries = self._entries
        if entries:
            expected = self._first_index + len(entries)
            assert idx == expected, f"entry {idx} was added where {expected} comes next"
        else:
            self._note_truncation(idx - 1)
            self._first_index = idx
        entries.append((command, idx, term))
        self._buffer += *encode_record(RecordKind.ENTRY, idx, term, command), command

    def clear(self) -> None:
        """Drop all entries. The vote stays."""
        self._note(RecordKind.CLEAR, 0, 0)
        self._note_truncation(0)
        self._entries = []
        self._first_index = 1

    def rebase(self, command: bytes, index: int, term: int) -> None:
        """Begin anew with one entry, which a snapshot includes, durably. The vote stays."""
        self.clear()
        self.add(command, index, term)
        self._commit_index = index
        self.flush_sync()

    def trim(self, first_index: int) -> bool:
        """Forget some of the entries below `first_index`, which a durable snapshot includes;
        returns whether there are more. Freeing a million of them at once takes a fifth of a second,
        in which no thread of Python runs."""
        count = min(first_index, self.last_index) - self._first_index
        self.deleteEntriesTo(min(count, _TRIM_ENTRIES))
        return count > _TRIM_ENTRIES

    def deleteEntriesFrom(self, entryFrom: int) -> None:
        """Keep the entries at the list positions [0:entryFrom]."""
        if entryFrom >= len(self._entries):
            return
        assert entryFrom >= 0, f"list position {entryFrom}"
        index = self._first_index + entryFrom
        self._note(RecordKind.TRUNCATE, index, 0)
        self._note_truncation(index - 1)
        del self._entries[entryFrom:]

    def deleteEntriesTo(self, entryTo: int) -> None:
        """Keep the entries at the list positions [entryTo:]. Files that hold only dropped entries
        are removed by a later flush, once it is durable that they are not needed."""
        if entryTo <= 0 or not self._entries:
            return
        count = min(entryTo, len(self._entries))
        self._note(RecordKind.HEAD, self._first_index + count, 0)
        del self._entries[:count]
        self._first_index += count

    @overload
    def __getitem__(self, item: int) -> Entry: ...
    @overload
    def __getitem__(self, item: slice) -> list[Entry]: ...
    def __getitem__(self, item: int | slice) -> Entry | list[Entry]:
        """Entries by list position."""
        return self._entries[item]

    def __len__(self) -> int:
        return len(self._entries)

    def setRaftCommitIndex(self, raftCommitIndex: int) -> None:
        """Remember it for the next flush. It needs no flush of its own: what is committed beyond
        `recovered_commit_index` is learnt from the leader. Called on every append."""
        self._commit_index = raftCommitIndex

    def getRaftCommitIndex(self) -> int:
        """1: pysyncobj is to start there and apply the log; see `recovered_commit_index`."""
        return 1

    def setCurrentTerm(self, term: int, votedForNodeId: str | None) -> None:
        """Note term and vote. No message that shows them may leave before `durable_term_vote`."""
        if (term, votedForNodeId) == (self._term, self._voted_for):
            return
        voted_for = b"" if votedForNodeId is None else votedForNodeId.encode()
        assert len(voted_for) <= MAX_VOTED_FOR_BYTES, f"a node id of {len(voted_for)} bytes"
        self._note(RecordKind.VOTE, 0 if votedForNodeId is None else 1, term, voted_for)
        self._term, self._voted_for = term, votedForNodeId

    def getCurrentTerm(self) -> int:
        """Last term that was set, 0 at first."""
        return self._term

    def getVotedForNodeId(self) -> str | None:
        """Who got this node's vote in the current term."""
        return self._voted_for

    def onOneSecondTimer(self) -> None:
        """Nothing to do."""

    def _destroy(self) -> None:
        """Flush what is left (unless something failed), close the files, release the lock.

        Waits for a flush that runs on another thread. The journal refuses every change after it."""
        try:
            if self._failure is None and self._running is None:
                self._note_commit_index()
                self.flush_sync()
        finally:
            with self._writer_lock:
                if not self._closed:
                    self._closed = True
                    self._failure = self._failure or f"{self._directory}: the journal is closed"
                    self._writer.close()
                    self._lock.release()

    # --- reading ----------------------------------------------------------------------------------

    @property
    def first_index(self) -> int:
        """Index of the first entry; of an empty log, the index at which it would go on."""
        return self._first_index

    @property
    def last_index(self) -> int:
        """Index of the last entry; first_index - 1 for an empty log."""
        return self._first_index + len(self._entries) - 1

    @property
    def last_term(self) -> int:
        """Term of the last entry; 0 for an empty log."""
        return self._entries[-1][2] if self._entries else 0

    def term_at(self, index: int) -> int | None:
        """Term of the entry at `index`; None if the log does not hold it."""
        position = index - self._first_index
        return self._entries[position][2] if 0 <= position < len(self._entries) else None

    def entry(self, index: int) -> Entry:
        """The entry at `index`. Raises IndexError if the log does not hold it."""
        position = index - self._first_index
        if not 0 <= position < len(self._entries):
            raise IndexError(
                f"entry {index}: the journal holds {self._first_index} to {self.last_index}"
            )
        return self._entries[position]

    @property
    def bytes_on_disk(self) -> int:
        """Bytes in use in all segment files."""
        return self._writer.bytes_on_disk

    # --- flushing ---------------------------------------------------------------------------------

    def needs_sync(self) -> bool:
        """Whether anything was noted since the last flush_begin."""
        return bool(self._buffer)

    def flush_begin(self) -> FlushJob | None:
        """Take everything noted so far; None if that is nothing. One job at a time."""
        self._refuse_after_failure()
        assert self._running is None, "a flush is still running"
        if not self._buffer:
            return None
        self._note_commit_index()
        state = LogState(
            self._first_index,
            self.last_index + 1,
            self._commit_index,
            self._term,
            self._voted_for,
        )
        job = FlushJob(
            data=b"".join(self._buffer),
            before=self._submitted,
            highest_index=self.last_index,
            first_index=self._first_index,
            durable_index=self.last_index,
            durable_term_vote=(self._term, self._voted_for),
        )
        self._buffer = []
        self._submitted = state
        self._running = job
        return job

    def flush_run(self, job: FlushJob) -> None:
        """Write and sync; any thread. Raises JournalError, and then the journal is of no more use.

        Removes files that are no longer needed, after the record that says so is on disk."""
        with self._writer_lock:
            self._refuse_after_failure()
            started_s = time.perf_counter()
            try:
                self._writer.append(job.data, job.before, job.highest_index)
                job.seconds = time.perf_counter() - started_s
                self.fsync_count += 1
                self.bytes_written += len(job.data)
                self._writer.remove_below(job.first_index)
            except OSError as error:
                self._failure, self._failed_by = self._describe(error), error
                raise JournalError(self._failure) from error
            job.done = True

    def flush_end(self, job: FlushJob) -> None:
        """Count what the job wrote as durable, as far as it is still part of the log."""
        self._refuse_after_failure()
        assert job is self._running, "this is not the flush that was begun last"
        assert job.done, "flush_run has not returned yet"
        self._running = None
        self.flush_timings.add(job.seconds)
        self.durable_index = job.durable_index
        self.durable_term_vote = job.durable_term_vote

    def flush_sync(self) -> None:
        """Make everything noted so far durable before returning."""
        job = self.flush_begin()
        if job is not None:
            self.flush_run(job)
            self.flush_end(job)

    # --- inside -----------------------------------------------------------------------------------

    def _note(self, kind: RecordKind, index: int, term: int, payload: bytes = b"") -> None:
        self._refuse_after_failure()
        self._buffer += *encode_record(kind, index, term, payload), payload

    def _note_commit_index(self) -> None:
        if self._commit_index != self._submitted.commit_index:
            self._note(RecordKind.COMMIT, self._commit_index, 0)

    def _note_truncation(self, last_index: int) -> None:
        """Entries beyond `last_index` are out: they count as durable no more, nor will they when
        the running flush ends, even if it wrote entries of the same indexes."""
        self.durable_index = min(self.durable_index, last_index)
        if self._running is not None:
            self._running.durable_index = min(self._running.durable_index, last_index)

    def _refuse_after_failure(self) -> None:
        if self._failure is not None:
            raise JournalError(self._failure) from self._failed_by

    def _describe(self, error: OSError) -> str:
        advice = "the disk may be failing: what was written last is not on disk and must not be "
        advice += "acknowledged. Stop this node; the others go on. Replace the disk or restart"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            advice = "the disk is full. Stop this node, free space, and start it again"
        return f"{self._directory}: write or sync failed ({error}); {advice}"
