"""From the segments of a folder to the log and the vote that they amount to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from cluster.disk import Disk
from cluster.segment import (
    EMPTY,
    JournalError,
    LogState,
    NewerFormat,
    Record,
    RecordKind,
    SegmentError,
    SegmentFile,
    SegmentScan,
    scan_segment,
    segment_number,
)

Entry: TypeAlias = tuple[bytes, int, int]
"""(command, index, term): the shape that pysyncobj wants, as plain tuples."""


class ReplayError(Exception):
    """Records that are whole, one by one, but make no sense together."""


class LogReplay:
    """The state of log and vote after a number of records.

    The log reaches from `first_index` to `next_index` - 1. `entries` are the last of them: what was
    in files that are gone is missing in front, which is right as long as a later record says that
    it is no longer needed; `missing` tells.
    """

    __slots__ = (
        "_first_held",
        "commit_index",
        "entries",
        "first_index",
        "next_index",
        "term",
        "voted_for",
    )

    def __init__(self, before: LogState) -> None:
        self.first_index, self.next_index, self.commit_index, self.term, self.voted_for = before
        self.entries: list[Entry] = []
        self._first_held = before.next_index

    @property
    def state(self) -> LogState:
        """Where the log and the vote stand."""
        return LogState(
            self.first_index, self.next_index, self.commit_index, self.term, self.voted_for
        )

    def check_header(self, before: LogState) -> None:
        """Raises ReplayError unless a segment that begins with `before` can come next."""
        if before != self.state:
            raise ReplayError(
                f"begins with {before}, but the files before it end with {self.state}"
            )

    def apply(self, record: Record) -> None:
        """Take the next record. Raises ReplayError if it contradicts those before it."""
        kind, index, term, payload, _offset = record
        if kind == RecordKind.ENTRY:
            self._append(payload, index, term)
        elif kind == RecordKind.VOTE:
            self.term = term
            self.voted_for = payload.decode() if index else None
        elif kind == RecordKind.TRUNCATE:
            if not self.first_index <= index <= self.next_index:
                raise ReplayError(f"cannot truncate from {index}: {self._range()}")
            del self.entries[max(0, index - self._first_held) :]
            self._first_held = min(self._first_held, index)
            self.next_index = index
        elif kind == RecordKind.HEAD:
            if not self.first_index <= index <= self.next_index:
                raise ReplayError(f"cannot drop entries below {index}: {self._range()}")
            dropped = max(0, index - self._first_held)
            del self.entries[:dropped]
            self._first_held += dropped
            self.first_index = index
        elif kind == RecordKind.COMMIT:
            self.commit_index = index
        elif kind == RecordKind.CLEAR:
            self.entries.clear()
            self.first_index = self.next_index = self._first_held = 1

    def _append(self, command: bytes, index: int, term: int) -> None:
        if index != self.next_index:
            if self.first_index != self.next_index:
                raise ReplayError(f"entry {index} cannot follow: {self._range()}")
            self.first_index = self._first_held = index
        self.entries.append((command, index, term))
        self.next_index = index + 1

    def _range(self) -> str:
        return f"the log holds {self.first_index} to {self.next_index - 1}"

    @property
    def missing(self) -> range:
        """Indexes that belong to the log but are in none of the files."""
        return range(self.first_index, max(self.first_index, self._first_held))


@dataclass(frozen=True, slots=True)
class RecoveredLog:
    """What a folder holds. Bytes from the end of the last segment to `dirty_end` are a torn tail;
    `marked` says that the last good record is a sync mark."""

    replay: LogReplay
    segments: list[SegmentFile]
    dirty_end: int
    marked: bool


def rebuild_advice(directory: Path) -> str:
    """What to do about a journal that is damaged."""
    return (
        "Nothing was changed on disk. The other nodes hold the data: while all of them are up, "
        f"move {directory} away, start this node with an empty folder, and wait until "
        "`exchange status` shows that it has caught up"
    )


def recover(disk: Disk, directory: Path) -> RecoveredLog:
    """Read all segments of a folder, changing nothing.

    Raises JournalError if anything is wrong but a torn tail at the very end, OSError if a file
    cannot be read."""
    names = [name for name in disk.list_directory(directory) if segment_number(name) is not None]
    replay = LogReplay(EMPTY)
    segments: list[SegmentFile] = []
    scan: SegmentScan | None = None
    for name in names:
        path = directory / name
        number = segment_number(name)
        assert number is not None
        offset = 0
        try:
            if segments and number != segments[-1].number + 1:
                raise ReplayError(f"segment {segments[-1].number + 1} is missing")
            scan = scan_segment(disk.read(path), number)
            if scan.damage is not None and (name != names[-1] or scan.mark_behind is not None):
                raise SegmentError(scan.end, f"{scan.damage}, and synced data follows it")
            if not segments:
                replay = LogReplay(scan.header.before)
            replay.check_header(scan.header.before)
            for record in scan.records:
                offset = record.offset
                replay.apply(record)
        except NewerFormat as error:
            raise JournalError(
                f"{path} at byte {error.offset}: {error.what}. Nothing was changed on disk"
            ) from error
        except SegmentError as error:
            raise _damaged(path, error.offset, error.what) from error
        except ReplayError as error:
            raise _damaged(path, offset, str(error)) from error
        segments.append(_segment_file(path, scan))
    if replay.missing:
        gone = f"entries {replay.missing[0]} to {replay.missing[-1]} are in none of the files"
        raise _damaged(segments[0].path, 0, gone)
    if scan is None:
        return RecoveredLog(replay, segments, 0, False)
    marked = bool(scan.records) and scan.records[-1].kind == RecordKind.SYNC_MARK
    return RecoveredLog(replay, segments, scan.dirty_end, marked)


def _segment_file(path: Path, scan: SegmentScan) -> SegmentFile:
    highest_index = max(
        (record.log_index for record in scan.records if record.kind == RecordKind.ENTRY), default=0
    )
    header = scan.header
    return SegmentFile(header.number, path, scan.end, header.reserved_bytes, highest_index)


def _damaged(path: Path, offset: int, what: str) -> JournalError:
    return JournalError(f"{path} at byte {offset}: {what}. {rebuild_advice(path.parent)}.")
