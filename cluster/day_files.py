"""Numbered items of the day in a row of files: appended as they come, cut back at a restart.

Events and ITCH messages follow from the log, but a node that starts from a snapshot does not see
all of the log again, so what it has written must outlive it. A snapshot says which item comes next;
whatever the files hold from there on is dropped and comes again out of the journal.

    file    <prefix><number of its first item, 20 digits><suffix>
    header  magic 8s | format version u32 | number of the first item u64 | label 16s | crc32c u32
    block   crc32c u32 (over the rest of the block) | length of the payload u32
            | number of the first item u64 | count of items u32 | payload
All integers are little-endian; a header's checksum covers what stands before it. One write is one
block, so a file that was cut short by a crash ends with a piece of one block.

Two rules make this safe without a sync on the hot path and without overwriting anything:

* A file replaces what the files before it hold from its own first item on. A restart cuts off whole
  blocks only and begins a new file; the superfluous end of the last block does not count.
* Whoever makes a snapshot syncs the files first (`sync_files`, in another process). So below the
  item that a snapshot names they are as good as synced, and above it nobody needs them.

A file that is not the last is never changed, and the last one only grows; copied as they are they
are the files of another node.
"""

from __future__ import annotations

import logging
import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from crc32c import crc32c

from cluster.disk import Disk, DiskFile
from cluster.segment import JournalError

FORMAT_VERSION: Final = 2
SEGMENT_BYTES: Final = 64 << 20
MAX_BYTES: Final = 16 << 30
BLOCK_BYTES: Final = 64 << 10
"""What a store gathers for one write. Writes happen on the event loop: this much is copied into the
kernel's memory within some 50 us, about what handing it to a thread and hearing back would cost.
Items in memory but in no file are lost in a crash, which is all right: see above."""

_HEADER = struct.Struct("<8sIQ16sI")
_CRC = struct.Struct("<I")
_BLOCK = struct.Struct("<IIQI")
_DIGITS: Final = 20
_LABEL_BYTES: Final = 16
_PROBLEMS_TOLD: Final = 3

logger = logging.getLogger(__name__)


class DayFileError(ValueError):
    """A file is damaged, of a newer version or does not belong here: which one, where and what."""


class NewerDayFile(DayFileError, JournalError):
    """What a newer program wrote is sound, and must not be thrown away."""


class FileKind(NamedTuple):
    """How files of one kind are told from others: first bytes of the content, both ends of the
    name."""

    magic: bytes
    prefix: str
    suffix: str

    def name(self, first: int) -> str:
        """Name of the file that begins with item `first`."""
        return f"{self.prefix}{first:0{_DIGITS}d}{self.suffix}"

    def first(self, name: str) -> int | None:
        """Number of the first item of a file; None if the name is not of this kind."""
        digits = name.removeprefix(self.prefix).removesuffix(self.suffix)
        is_number = len(digits) == _DIGITS and digits.isascii() and digits.isdigit()
        return int(digits) if is_number and name == self.name(int(digits)) else None


class Block(NamedTuple):
    """Items `first` to `end` - 1; the payload may hold more, which do not count."""

    first: int
    end: int
    payload: bytes


class Readable(Protocol):
    """As much of cluster.disk.DiskFile as reading takes."""

    def read_at(self, offset: int, size: int) -> bytes: ...


@dataclass(slots=True)
class _Segment:
    """One file: which items it is needed for, how long it is, where its blocks begin."""

    first: int
    name: str
    end: int
    size: int = _HEADER.size
    # 16 bytes of memory for some 64 KiB of file
    block_firsts: array[int] = field(default_factory=lambda: array("Q"))
    block_offsets: array[int] = field(default_factory=lambda: array("Q"))

    def add(self, first: int, end: int, offset: int, next_offset: int) -> None:
        self.block_firsts.append(first)
        self.block_offsets.append(offset)
        self.end, self.size = end, next_offset


class DayFiles:
    """The files of one kind in one folder. One thread only; every method may raise OSError.

    Opening drops everything from item `resume_at` on (1: everything there is) and keeps what leads
    up to it without a gap; a warning tells what of it is damaged or missing. Files of another
    `label` (at most 16 bytes) do not belong to this day and are dropped, too. Beyond `max_bytes` in
    all, the oldest files are removed.
    """

    def __init__(
        self,
        kind: FileKind,
        directory: Path,
        *,
        label: bytes = b"",
        resume_at: int,
        disk: Disk,
        segment_bytes: int = SEGMENT_BYTES,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        assert resume_at >= 1, f"resume_at is {resume_at}: items are numbered from 1"
        self._kind = kind
        self._directory = directory
        self._label = label
        self._disk = disk
        self._segment_bytes = segment_bytes
        self._max_bytes = max_bytes
        self._writing: DiskFile | None = None
        self._reading: tuple[_Segment, DiskFile] | None = None
        self.next_number = resume_at
        """Number of the next item to be appended."""
        disk.make_directory(directory)
        self._segments = self._resume() if resume_at > 1 else []
        self.total_bytes = sum(segment.size for segment in self._segments)
        """Length of all files."""
        kept = {segment.name for segment in self._segments}
        for name in self._names():
            if name not in kept:
                disk.remove(directory / name)

    @property
    def first_number(self) -> int:
        """Number of the oldest item that is here; `next_number` when there is none."""
        return self._segments[0].first if self._segments else self.next_number

    def append(self, first: int, count: int, payload: bytes) -> None:
        """Write the next `count` items, as one block."""
        assert first == self.next_number, f"item {first} was appended, {self.next_number} is next"
        block = _encode_block(first, count, payload)
        if self._writing is None or self._segments[-1].size + len(block) > self._segment_bytes:
            self._begin_segment(first)
        assert self._writing is not None
        segment = self._segments[-1]
        self._writing.write_at(segment.size, block)
        self.next_number = first + count
        self.total_bytes += len(block)
        segment.add(first, self.next_number, segment.size, segment.size + len(block))

    def read(self, number: int) -> Block:
        """The block with item `number`, which is here. Raises DayFileError when it is damaged."""
        segment = self._segment_of(number)
        at = bisect_right(segment.block_firsts, number) - 1
        file = self._file_of(segment)
        path = self._directory / segment.name
        block, _ = _read_block(file, path, segment.block_offsets[at], segment.size)
        if block.first != segment.block_firsts[at]:
            raise DayFileError(f"{path}: item {number} is not where it should be")
        return block._replace(end=min(block.end, segment.end))

    def files(self) -> list[tuple[str, int]]:
        """Name and length of each file, oldest first."""
        return [(segment.name, segment.size) for segment in self._segments]

    def close(self) -> None:
        """Close what is open. Nothing can be appended or read after it."""
        for file in (self._writing, self._reading and self._reading[1]):
            if file is not None:
                file.close()
        self._writing = self._reading = None

    # --- inside -----------------------------------------------------------------------------------

    def _segment_of(self, number: int) -> _Segment:
        assert self.first_number <= number < self.next_number, (
            f"item {number}: {self.first_number} to {self.next_number - 1} are here"
        )
        at = bisect_right(self._segments, number, key=lambda segment: segment.first) - 1
        return self._segments[at]

    def _file_of(self, segment: _Segment) -> DiskFile:
        if self._writing is not None and segment is self._segments[-1]:
            return self._writing
        if self._reading is None or self._reading[0] is not segment:
            self._stop_reading()
            self._reading = (segment, self._disk.open(self._directory / segment.name))
        return self._reading[1]

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading[1].close()
            self._reading = None

    def _begin_segment(self, first: int) -> None:
        """Go on in a new file; remove old ones if they are too much."""
        if self._writing is not None:
            self._writing.close()
            self._writing = None
        name = self._kind.name(first)
        file = self._disk.create(self._directory / name)
        try:
            file.write_at(0, _encode_header(self._kind, first, self._label))
        except OSError:
            file.close()
            raise
        self._writing = file
        self._segments.append(_Segment(first, name, first))
        self.total_bytes += _HEADER.size
        while self.total_bytes > self._max_bytes and len(self._segments) > 1:
            self._stop_reading()
            self._disk.remove(self._directory / self._segments[0].name)
            self.total_bytes -= self._segments.pop(0).size

    # --- opening ----------------------------------------------------------------------------------

    def _names(self) -> list[str]:
        names = self._disk.list_directory(self._directory)
        return [name for name in names if self._kind.first(name) is not None]

    def _resume(self) -> list[_Segment]:
        """From the newest file to the oldest: those that lead up to `next_number` without a gap."""
        end = self.next_number
        found: list[_Segment] = []
        problems: list[str] = []
        for name in reversed(self._names()):
            first = self._kind.first(name)
            assert first is not None
            if first >= end:
                continue
            try:
                segment = self._scan(name, first, end)
            except NewerDayFile:
                raise
            except DayFileError as error:
                problems.append(str(error))
            else:
                found.append(segment)
                end = first
        if problems or not found:
            why = "; ".join(problems[:_PROBLEMS_TOLD]) or "there are no files"
            if len(problems) > _PROBLEMS_TOLD:
                why += f"; and {len(problems) - _PROBLEMS_TOLD} more"
            logger.warning(
                "%s: the oldest item here is %d now; what cannot be used is removed: %s",
                self._directory,
                end,
                why,
            )
        return found[::-1]

    def _scan(self, name: str, first: int, end: int) -> _Segment:
        """Check a file up to item `end`, cut it off behind the block that brings it there, and
        return its index. Raises DayFileError if it does not reach that far."""
        path = self._directory / name
        segment = _Segment(first, name, first)
        size = self._disk.file_size(path)
        file = self._disk.open(path)
        try:
            _check_header(file, path, self._kind, first=first, label=self._label)
            for offset, next_offset, block in _blocks(file, path, first, size):
                segment.add(block.first, min(block.end, end), offset, next_offset)
                if block.end >= end:
                    break
            if segment.end < end:
                raise DayFileError(f"{path}: ends with item {segment.end - 1}, not {end - 1}")
            if segment.size < size:
                file.truncate(segment.size)
        finally:
            file.close()
        return segment


def sync_files(disk: Disk, directory: Path) -> None:
    """Make everything that was written to the files of a folder so far survive a power loss.

    For another process than the one that writes. A file that the writer removes meanwhile is not
    needed. Raises OSError, and then nothing is known: see cluster/disk.py."""
    for name in disk.list_directory(directory):
        try:
            file = disk.open(directory / name)
        except FileNotFoundError:
            continue
        try:
            file.sync_data()
        finally:
            file.close()
    disk.sync_directory(directory)


def read_files(kind: FileKind, disk: Disk, paths: list[Path]) -> Iterator[Block]:
    """Every block of files that follow each other; one file alone may have any name.

    Raises DayFileError when one is damaged, cut short or missing in the middle, OSError when one
    cannot be read."""
    paths = sorted(paths, key=lambda path: path.name)
    firsts = [kind.first(path.name) for path in paths]
    for path, first, end in zip(paths, firsts, [*firsts[1:], None], strict=True):
        content = disk.read(path)
        file = _InMemory(content)
        reached = _check_header(file, path, kind, first=first)
        for _, _, block in _blocks(file, path, reached, len(content)):
            reached = block.end if end is None else min(block.end, end)
            yield block._replace(end=reached)
            if reached == end:
                break
        if end is not None and reached < end:
            raise DayFileError(f"{path}: ends with item {reached - 1}, the next file has {end}")


class _InMemory:
    """A file that was read as a whole."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read_at(self, offset: int, size: int) -> bytes:
        return self._content[offset : offset + size]


# --- bytes ----------------------------------------------------------------------------------------


def _encode_header(kind: FileKind, first: int, label: bytes) -> bytes:
    assert len(label) <= _LABEL_BYTES, f"label {label!r} is longer than {_LABEL_BYTES} bytes"
    header = _HEADER.pack(kind.magic, FORMAT_VERSION, first, label, 0)[: -_CRC.size]
    return header + _CRC.pack(crc32c(header))


def _check_header(
    file: Readable, path: Path, kind: FileKind, *, first: int | None, label: bytes | None = None
) -> int:
    """Number of the first item. Raises DayFileError; None: it may be any."""
    header = file.read_at(0, _HEADER.size)
    if len(header) < _HEADER.size or header[: len(kind.magic)] != kind.magic:
        raise DayFileError(f"{path}: does not begin with {kind.magic!r} and a header")
    _, version, found_first, found_label, crc = _HEADER.unpack(header)
    if crc32c(header[: -_CRC.size]) != crc:
        raise DayFileError(f"{path}: the checksum of the header is wrong")
    if version > FORMAT_VERSION:
        raise NewerDayFile(
            f"{path}: format version {version}, this program knows versions up to "
            f"{FORMAT_VERSION}: it was written by a newer program; start that one, or a newer one, "
            "on this folder. Nothing was changed"
        )
    if version != FORMAT_VERSION:
        raise DayFileError(f"{path}: format version {version}, not {FORMAT_VERSION}")
    if first is not None and found_first != first:
        raise DayFileError(f"{path}: begins with item {found_first}")
    if label is not None and found_label != label.ljust(_LABEL_BYTES, b"\0"):
        found = found_label.rstrip(b"\0")
        raise DayFileError(f"{path}: belongs to {found!r}, not to {label!r}")
    return int(found_first)


def _encode_block(first: int, count: int, payload: bytes) -> bytes:
    assert count > 0, "a block without items"
    head = _BLOCK.pack(0, len(payload), first, count)[_CRC.size :]
    return b"".join((_CRC.pack(crc32c(payload, crc32c(head))), head, payload))


def _blocks(file: Readable, path: Path, first: int, size: int) -> Iterator[tuple[int, int, Block]]:
    """(offset, offset behind it, block) of each block. Raises DayFileError at the first bytes that
    are not the next block."""
    offset = _HEADER.size
    while offset < size:
        block, next_offset = _read_block(file, path, offset, size)
        if block.first != first:
            raise DayFileError(f"{path} at byte {offset}: item {block.first} follows {first - 1}")
        yield offset, next_offset, block
        first, offset = block.end, next_offset


def _read_block(file: Readable, path: Path, offset: int, size: int) -> tuple[Block, int]:
    """The block at `offset` of a file of `size` bytes, and where the next one begins."""
    head = file.read_at(offset, _BLOCK.size)
    if len(head) < _BLOCK.size:
        raise DayFileError(f"{path} at byte {offset}: a block is cut short")
    crc, length, first, count = _BLOCK.unpack(head)
    begin = offset + _BLOCK.size
    if length > size - begin:
        raise DayFileError(f"{path} at byte {offset}: {length} bytes of payload, or cut short")
    payload = file.read_at(begin, length)
    if crc32c(payload, crc32c(head[_CRC.size :])) != crc or count == 0:
        raise DayFileError(f"{path} at byte {offset}: the checksum of the block is wrong")
    return Block(first, first + count, payload), begin + length
