"""Appends flushes to the newest segment and starts a new one when it is full.

One object, used by one thread at a time: the thread that runs the flushes.
"""

from __future__ import annotations

from pathlib import Path

from cluster.disk import Disk, DiskFile
from cluster.segment import (
    MARK_BYTES,
    TEMPORARY_SUFFIX,
    LogState,
    SegmentFile,
    SegmentHeader,
    encode_header,
    encode_mark,
    segment_name,
)


class SegmentWriter:
    """Every method may raise OSError; after that the writer must not be used again."""

    def __init__(self, disk: Disk, directory: Path, segment_bytes: int) -> None:
        self._disk = disk
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._segments: list[SegmentFile] = []
        self._file: DiskFile | None = None

    @property
    def bytes_on_disk(self) -> int:
        """Bytes in use in all segments."""
        return sum(segment.used_bytes for segment in self._segments)

    def resume(self, segments: list[SegmentFile], dirty_end: int, *, marked: bool) -> None:
        """Go on behind the last of existing segments.

        What lies between its end and `dirty_end` is wiped, so that no torn record can ever be taken
        for a later one. `marked` says that its last record is a sync mark. Everything that was
        found is durable on return: after a crash of the process alone it may have been in the
        kernel's memory only.
        """
        # A name that is not synced yet (killed between rename and sync) would go with the power,
        # and everything that is promised from here on with it.
        self._disk.sync_directory(self._directory)
        self._segments = segments
        last = segments[-1]
        self._file = self._disk.open(last.path)
        if dirty_end > last.used_bytes:
            self._file.write_at(last.used_bytes, bytes(dirty_end - last.used_bytes))
        self._file.sync_data()
        if not marked:
            self._write_mark(self._file, last)
            self._file.sync_data()

    def append(self, data: bytes, before: LogState, highest_index: int) -> None:
        """Write and sync one flush. `before` is the state of log and vote before it."""
        needed = len(data) + MARK_BYTES
        if not self._segments or (
            self._segments[-1].used_bytes + needed > self._segments[-1].reserved_bytes
        ):
            self._begin_segment(before, needed)
        segment = self._segments[-1]
        assert self._file is not None
        self._file.write_at(segment.used_bytes, data)
        self._file.sync_data()
        segment.used_bytes += len(data)
        segment.highest_index = max(segment.highest_index, highest_index)
        self._write_mark(self._file, segment)

    def _write_mark(self, file: DiskFile, segment: SegmentFile) -> None:
        """Note that everything before is synced. The note itself needs no sync: see segment.py."""
        file.write_at(segment.used_bytes, encode_mark(segment.used_bytes, segment.number))
        segment.used_bytes += MARK_BYTES

    def _begin_segment(self, before: LogState, needed: int) -> None:
        """Make the next file under a temporary name; it gets its own when it is durable.

        The old file is synced once more first: its last mark must not be torn once it is no longer
        the last file."""
        number = 1
        if self._file is not None:
            self._file.sync_data()
            self._file.close()
            self._file = None
            number = self._segments[-1].number + 1
        header_length = len(encode_header(SegmentHeader(number, 0, before)))
        reserved = max(self._segment_bytes, header_length + needed)
        path = self._directory / segment_name(number)
        temporary = path.with_suffix(TEMPORARY_SUFFIX)
        file = self._disk.create(temporary)
        file.allocate(reserved)
        file.write_at(0, encode_header(SegmentHeader(number, reserved, before)))
        file.sync_data()
        self._disk.rename(temporary, path)
        self._disk.sync_directory(self._directory)
        self._file = file
        self._segments.append(SegmentFile(number, path, header_length, reserved, 0))

    def remove_below(self, first_index: int) -> None:
        """Remove whole files, oldest first, that hold only entries below `first_index`.

        The record that says so must be durable by now. Each removal is made durable before the
        next, so that the files always are an unbroken row."""
        while len(self._segments) > 1 and self._segments[0].highest_index < first_index:
            self._disk.remove(self._segments[0].path)
            self._disk.sync_directory(self._directory)
            del self._segments[0]

    def close(self) -> None:
        """Close the newest file."""
        if self._file is not None:
            self._file.close()
            self._file = None
