"""The bytes of a journal segment, and how to tell a torn tail from lost data.

A journal is a row of files `000000000001.seg`, `000000000002.seg`, ... Each is a header, then
records, then zeros up to the size that was reserved when the file was made (it never changes: that
makes fdatasync cheaper, and a shortened file shows). All integers are little-endian.

    header  magic 8s | format version u32 | crc32c u32 (over all other header bytes)
            | segment number u64 | reserved size u64
            | first index u64 | next index u64 | commit index u64 | term u64
            | length of voted_for u16 (0xFFFF: none) | voted_for
            The state of log and vote before the first record: a gap between files shows, and
            removing older files loses nothing.
    record  crc32c u32 (over everything after it) | length u32 (of everything after it)
            | kind u8 | index u64 | term u64 | payload

Torn or damaged? One flush is one write, then one fdatasync, then a SYNC_MARK written right behind
without a sync of its own (it rides with the next flush, or with the kernel's own write-back). A
power loss during a flush may leave any of its sectors, also a later one without an earlier one. So:

* a bad record with no valid mark anywhere behind it belongs to the last flush, whose fdatasync
  never returned: nobody was told that it is safe, and it is cut off;
* a bad record with a valid mark behind it was covered by a completed fdatasync: the disk lost data
  that was promised. That is damage, as is any bad record in a file that is not the last.

What cannot be told apart: a power loss that also swallows the last mark, and on top of it damage
within the very last flush. It takes two faults at once, on data that the other nodes hold.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final, NamedTuple

from crc32c import crc32c

MAGIC: Final = b"EXCHWAL\n"
FORMAT_VERSION: Final = 1
SUFFIX: Final = ".seg"
TEMPORARY_SUFFIX: Final = ".tmp"
MARK_PAYLOAD: Final = b"SYNCMARK"
MAX_VOTED_FOR_BYTES: Final = 1024

_MAGIC_VERSION = struct.Struct("<8sI")
_HEADER = struct.Struct("<8sIIQQQQQQH")
_NO_VOTE: Final = 0xFFFF
_CRC = struct.Struct("<I")
_BODY = struct.Struct("<IBQQ")
_RECORD = struct.Struct("<IIBQQ")
_CRC_BYTES: Final = _CRC.size
_KIND_INDEX_TERM_BYTES: Final = _BODY.size - 4
RECORD_BYTES: Final = _RECORD.size
"""Size of a record without its payload."""
MARK_BYTES: Final = RECORD_BYTES + len(MARK_PAYLOAD)


class JournalError(Exception):
    """The journal cannot be trusted or cannot go on: which file, where, what, and what to do."""


class SegmentError(Exception):
    """What is wrong with a segment, and at which offset."""

    def __init__(self, offset: int, what: str) -> None:
        super().__init__(f"at byte {offset}: {what}")
        self.offset = offset
        self.what = what


class NewerFormat(SegmentError):
    """What a newer program wrote: sound, and not for this one."""


class RecordKind(IntEnum):
    """What a record says."""

    ENTRY = 1  # index, term, payload
    TRUNCATE = 2  # entries from index on are no longer part of the log
    VOTE = 3  # term; payload is voted_for, index 1 if there is one and 0 if not
    HEAD = 4  # entries below index are no longer needed
    CLEAR = 5  # the log is empty; the next entry may have any index
    SYNC_MARK = 6  # index is the mark's own offset, term the segment number
    COMMIT = 7  # entries up to index are committed


class LogState(NamedTuple):
    """The log reaches from `first_index` to `next_index` - 1; `commit_index` is the highest index
    known to be committed; `voted_for` has the vote of `term`."""

    first_index: int
    next_index: int
    commit_index: int
    term: int
    voted_for: str | None


EMPTY: Final = LogState(1, 1, 0, 0, None)
"""A new journal."""


class SegmentHeader(NamedTuple):
    """`before` is the state of log and vote when the segment was begun."""

    number: int
    reserved_bytes: int
    before: LogState


class Record(NamedTuple):
    """One record and where it begins."""

    kind: int
    log_index: int
    term: int
    payload: bytes
    offset: int


@dataclass(frozen=True, slots=True)
class SegmentScan:
    """Everything in a segment up to the first thing that is no record.

    `end` is the offset behind the last good record. `damage` is None if only zeros follow; else it
    says what was found there, up to `dirty_end`, and `mark_behind` is the offset of a sync mark
    behind it, if there is one: then the damage is not a torn tail.
    """

    header: SegmentHeader
    records: list[Record]
    end: int
    dirty_end: int
    damage: str | None
    mark_behind: int | None


@dataclass(slots=True)
class SegmentFile:
    """A segment: bytes in use, bytes reserved, and a bound on the entries that it is needed for."""

    number: int
    path: Path
    used_bytes: int
    reserved_bytes: int
    highest_index: int


def segment_name(number: int) -> str:
    """File name of a segment."""
    return f"{number:012d}{SUFFIX}"


def segment_number(name: str) -> int | None:
    """Number in a segment's file name; None if it is no segment."""
    stem = name.removesuffix(SUFFIX)
    if name == stem or len(stem) != 12 or not (stem.isascii() and stem.isdigit()):
        return None
    return int(stem)


def encode_header(header: SegmentHeader) -> bytes:
    """Bytes of a segment header."""
    voted_for = header.before.voted_for
    vote = b"" if voted_for is None else voted_for.encode()
    assert len(vote) <= MAX_VOTED_FOR_BYTES, f"a node id of {len(vote)} bytes"
    vote_length = _NO_VOTE if voted_for is None else len(vote)
    fixed = (header.number, header.reserved_bytes, *header.before[:4], vote_length)
    packed = bytearray(_HEADER.pack(MAGIC, FORMAT_VERSION, 0, *fixed))
    packed += vote
    crc = crc32c(packed[_MAGIC_VERSION.size + _CRC_BYTES :], crc32c(packed[: _MAGIC_VERSION.size]))
    _CRC.pack_into(packed, _MAGIC_VERSION.size, crc)
    return bytes(packed)


def decode_header(data: bytes) -> tuple[SegmentHeader, int]:
    """Header of a segment and its length in bytes. Raises SegmentError."""
    if len(data) < _HEADER.size:
        raise SegmentError(0, f"{len(data)} bytes are too few for a header")
    magic, version, crc, number, reserved, *numbers, vote_length = _HEADER.unpack_from(data)
    first_index, next_index, commit_index, term = numbers
    if magic != MAGIC:
        raise SegmentError(0, f"begins with {magic!r} instead of {MAGIC!r}: not a journal segment")
    if version > FORMAT_VERSION:
        raise NewerFormat(
            8,
            f"format version {version}, this program knows versions up to {FORMAT_VERSION}: "
            "it was written by a newer program; start that one, or a newer one, on this folder",
        )
    has_vote = vote_length != _NO_VOTE
    end = _HEADER.size + (vote_length if has_vote else 0)
    computed = crc32c(
        data[_MAGIC_VERSION.size + _CRC_BYTES : end], crc32c(data[: _MAGIC_VERSION.size])
    )
    if computed != crc or end > len(data):
        raise SegmentError(0, f"header checksum is {computed:08x}, {crc:08x} is written there")
    voted_for = data[_HEADER.size : end].decode() if has_vote else None
    before = LogState(first_index, next_index, commit_index, term, voted_for)
    return SegmentHeader(number, reserved, before), end


def encode_record(kind: int, index: int, term: int, payload: bytes = b"") -> tuple[bytes, bytes]:
    """Checksum and fields of a record; the payload follows them. In two parts, to be joined with
    others: a payload of 1 MiB is not copied here."""
    body = _BODY.pack(_KIND_INDEX_TERM_BYTES + len(payload), kind, index, term)
    return _CRC.pack(crc32c(payload, crc32c(body))), body


def encode_mark(offset: int, number: int) -> bytes:
    """A sync mark to be written at `offset` of segment `number`."""
    checksum, fields = encode_record(RecordKind.SYNC_MARK, offset, number, MARK_PAYLOAD)
    return checksum + fields + MARK_PAYLOAD


def _record_problem(data: bytes, offset: int) -> str:
    """Say what is wrong with the record at `offset`."""
    available = len(data) - offset
    if available < RECORD_BYTES:
        return f"{available} bytes are too few for a record"
    crc, length, _kind, _index, _term = _RECORD.unpack_from(data, offset)
    if length < _KIND_INDEX_TERM_BYTES or length > available - 8:
        return f"record length {length} is impossible here ({available - 8} bytes are left)"
    computed = crc32c(data[offset + _CRC_BYTES : offset + 8 + length])
    return f"record checksum is {computed:08x}, {crc:08x} is written there"


def _records(data: bytes, offset: int, content_end: int) -> Iterator[Record]:
    """Yield good records from `offset` on, until something else comes. Raises SegmentError on a
    good record of an unknown kind: only a newer program can have written it."""
    size = len(data)
    unpack = _RECORD.unpack_from
    last_start = size - RECORD_BYTES
    while offset < content_end and offset <= last_start:
        crc, length, kind, index, term = unpack(data, offset)
        end = offset + 8 + length
        if length < _KIND_INDEX_TERM_BYTES or end > size:
            return
        payload = data[offset + RECORD_BYTES : end]
        if crc32c(payload, crc32c(data[offset + _CRC_BYTES : offset + RECORD_BYTES])) != crc:
            return
        if not RecordKind.ENTRY <= kind <= RecordKind.COMMIT:
            raise NewerFormat(
                offset, f"record kind {kind} is unknown: it was written by a newer program"
            )
        yield Record(kind, index, term, payload, offset)
        offset = end


def _mark_behind(data: bytes, offset: int, number: int) -> int | None:
    """Offset of a valid sync mark of this segment that begins behind `offset`, or None."""
    found = data.find(MARK_PAYLOAD, offset + RECORD_BYTES)
    while found >= 0:
        start = found - RECORD_BYTES
        if data[start : start + MARK_BYTES] == encode_mark(start, number):
            return start
        found = data.find(MARK_PAYLOAD, found + 1)
    return None


def scan_segment(data: bytes, number: int) -> SegmentScan:
    """Read a whole segment file whose name says that it is number `number`.

    Raises SegmentError if the header is bad, the file is shorter than it was made, or a record that
    is whole cannot be understood."""
    header, start = decode_header(data)
    if header.number != number:
        raise SegmentError(0, f"the header says segment {header.number}, the name says {number}")
    if len(data) < header.reserved_bytes:
        raise SegmentError(
            len(data), f"the file was {header.reserved_bytes} bytes long and was shortened"
        )
    content_end = len(data.rstrip(b"\0"))
    records = list(_records(data, start, content_end))
    end = records[-1].offset + RECORD_BYTES + len(records[-1].payload) if records else start
    for record in records:
        if record.kind == RecordKind.SYNC_MARK and record[1:3] != (record.offset, number):
            raise SegmentError(record.offset, "a sync mark of another place")
    if content_end <= end:
        return SegmentScan(header, records, end, end, None, None)
    return SegmentScan(
        header,
        records,
        end,
        content_end,
        _record_problem(data, end),
        _mark_behind(data, end, number),
    )
