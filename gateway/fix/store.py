"""What a FIX session must still know after its gateway was killed.

`SessionStore` is one append-only file per session: every message that was sent, byte for byte, with
its MsgSeqNum and the number of the event it came from, and the number of the last message received
that needs no repetition. `ProgressFile` says how far the gateway has read the events, so that
idle sessions do not force it to read the whole day again.

Records are written with write(2) before their bytes go on a socket. That survives a killed process;
with `sync` also a power failure. Format of a store file, integers little-endian:

    magic "FIXSTORE", u16 version, u16 zero, u32 resets, u64 event_seq at the reset, u32 crc32c
    records: u32 length of the payload, u32 crc32c of the payload, payload
    payload: u8 kind, then
        1 message sent      u64 seq, u64 event_seq, u64 answered seq, u8 is_admin, message
        2 received through  u64 seq
        3 numbering         u64 start of the period (s), u8 flags, version of FIX; flag 1: a reset
                            is owed, 2: the version may still be chosen

Version 1 of the format has no record of kind 3; its messages are FIX.4.4.

The last record may have been in the middle of its write(2) when everything ended. Nothing it says
has been sent, so it is cut off. What such a record looks like is known:
* A killed process leaves a beginning of what it wrote: the record claims more bytes than there are.
* A power failure may leave the whole length (the size of a file can reach the disk before its
  bytes do), but then whole sectors are missing, which read as zeros.
Whatever else is wrong is damage, in the last record as in the middle: it may have been sent, and
its number must not be given to another message. The store refuses to open.
"""

from __future__ import annotations

import mmap
import os
import struct
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from crc32c import crc32c

FORMAT_VERSION = 2
_FIRST_VERSION = 1
_FIRST_FIX_VERSION = "FIX.4.4"
_PROGRESS_VERSION = 1
_MAGIC = b"FIXSTORE"
_HEADER = struct.Struct("<8sHHIQ")
_HEADER_SIZE = _HEADER.size + 4
_RECORD = struct.Struct("<II")
_SENT = struct.Struct("<BQQQB")
_RECEIVED = struct.Struct("<BQ")
_NUMBERING = struct.Struct("<BQB")
_U32 = struct.Struct("<I")
_KIND_SENT = 1
_KIND_RECEIVED = 2
_KIND_NUMBERING = 3
_MAX_PAYLOAD = 1 << 21
_READ_CHUNK = 1 << 18
_SECTOR = 512

_PROGRESS_MAGIC = b"FIXPROGR"
_PROGRESS_HEADER = struct.Struct("<8sHHI")
_PROGRESS_SLOT = struct.Struct("<QQI")


class StoreError(OSError):
    """A store file cannot be used: the message names the file, what was found and what to do."""


class StoredMessage(NamedTuple):
    """A message that was sent. Admin messages are never sent again (a gap fill stands for them)."""

    seq: int
    is_admin: bool
    frame: bytes


class Numbering(NamedTuple):
    """What belongs to the numbers of a session since they last began at 1.

    `version` of FIX, "" until a Logon or a first report has decided it; `period_s`, the start of
    the trading period they belong to in s since the epoch, 0: of none; `is_reset_owed`: the cluster
    still has the MsgSeqNums of before (periods.py); `is_version_open`: the version is that of the
    numbers of before, and a Logon may choose another one.
    """

    version: str = ""
    period_s: int = 0
    is_reset_owed: bool = False
    is_version_open: bool = False


class SessionStore:
    """The durable state of one session. Appended records go to the file with flush().

    After open: `next_out` is the next MsgSeqNum to send, `received_through` the last one received
    that was dealt with (all before it, too), `last_event_seq` the newest event of which a message
    was stored, `answered` the numbers above `received_through` that the gateway answered by itself,
    `resets` how often the numbers began again at 1, `numbering` what holds since then.
    """

    def __init__(self, path: Path, *, sync: bool = False) -> None:
        """Open or create. Raises StoreError when the file is damaged or of a newer version."""
        self._path = path
        self._sync = sync
        self._offsets = array("Q")  # of the record of message 1, 2, ...
        self._pending: list[bytes] = []
        self._size = 0  # of the file and of what waits for flush()
        self.next_out = 1
        self.received_through = 0
        self.last_event_seq = 0
        self.answered: set[int] = set()
        self.resets = 0
        self.numbering = Numbering()
        if not path.exists():
            self._create(0, 0)
        self._file = os.open(path, os.O_RDWR | os.O_APPEND)
        try:
            self._load()
        except StoreError:
            os.close(self._file)
            raise

    def close(self) -> None:
        """Write what waits and close the file."""
        self.flush()
        os.close(self._file)

    def abandon(self) -> None:
        """Close the file as it is: after a write that failed, nothing may follow."""
        os.close(self._file)

    def append_sent(
        self, seq: int, frame: bytes, *, event_seq: int, answered_seq: int, is_admin: bool
    ) -> None:
        """Add a message. `event_seq` 0: it came from no event. `answered_seq`: the received message
        that the gateway answers with it by itself, 0 for none."""
        assert seq == self.next_out, f"{self._path}: message {seq} follows {self.next_out - 1}"
        self.next_out = seq + 1
        self.last_event_seq = max(self.last_event_seq, event_seq)
        if answered_seq:
            self.answered.add(answered_seq)
        payload = _SENT.pack(_KIND_SENT, seq, event_seq, answered_seq, is_admin) + frame
        self._offsets.append(self._size)
        self._append(payload)

    def append_received(self, through_seq: int) -> None:
        """Messages up to this number need not be asked for again."""
        self.received_through = through_seq
        if self.answered:
            self.answered = {seq for seq in self.answered if seq > through_seq}
        self._append(_RECEIVED.pack(_KIND_RECEIVED, through_seq))

    def append_numbering(self, numbering: Numbering) -> None:
        """Change what belongs to the numbers, which go on."""
        self.numbering = numbering
        self._append(_numbering_payload(numbering))

    def _append(self, payload: bytes) -> None:
        assert len(payload) <= _MAX_PAYLOAD, f"{self._path}: a record of {len(payload)} bytes"
        self._pending.append(_RECORD.pack(len(payload), crc32c(payload)))
        self._pending.append(payload)
        self._size += _RECORD.size + len(payload)

    def flush(self) -> None:
        """Write all added records to the file, in one go."""
        if not self._pending:
            return
        data = b"".join(self._pending)
        self._pending.clear()
        written = os.write(self._file, data)
        while written < len(data):  # only when the disk is nearly full: the next write says so
            written += os.write(self._file, data[written:])
        if self._sync:
            os.fdatasync(self._file)

    def read_sent(self, first_seq: int, last_seq: int) -> Iterator[StoredMessage]:
        """The messages first_seq .. last_seq in order, read from the file in chunks."""
        self.flush()
        assert 1 <= first_seq <= last_seq < self.next_out, f"{first_seq}..{last_seq} are not stored"
        position = self._offsets[first_seq - 1]
        end = self._offsets[last_seq] if last_seq < len(self._offsets) else self._size
        while position < end:
            chunk = os.pread(self._file, min(_READ_CHUNK, end - position), position)
            first_length = self._record_length(chunk, 0)
            if first_length > len(chunk):
                chunk = os.pread(self._file, first_length, position)
            used = 0
            while used + _RECORD.size <= len(chunk):
                length = self._record_length(chunk, used)
                if used + length > len(chunk):
                    break
                payload = chunk[used + _RECORD.size : used + length]
                used += length
                if payload[0] == _KIND_SENT:
                    _, seq, _, _, is_admin = _SENT.unpack_from(payload)
                    yield StoredMessage(seq, bool(is_admin), payload[_SENT.size :])
            assert used > 0, f"{self._path}: no record at {position}"
            position += used

    @staticmethod
    def _record_length(chunk: bytes, at: int) -> int:
        length: int = _RECORD.unpack_from(chunk, at)[0]
        return length + _RECORD.size

    def reset(self, event_seq: int, numbering: Numbering) -> None:
        """Numbers begin again at 1 in both directions; the messages of before are forgotten.

        What happened up to event `event_seq` is not told again. The new file, `numbering` in it,
        takes the place of the old one in one step.
        """
        self._pending.clear()
        self.numbering = numbering
        self._create(self.resets + 1, max(event_seq, self.last_event_seq))
        replaced, self._file = self._file, os.open(self._path, os.O_RDWR | os.O_APPEND)
        os.close(replaced)
        self._offsets = array("Q")
        self.answered.clear()
        self.next_out = 1
        self.received_through = 0
        self._load()

    def _create(self, resets: int, last_event_seq: int) -> None:
        temporary = self._path.with_suffix(".new")
        with temporary.open("wb") as file:
            file.write(_header(resets, last_event_seq) + _numbering_record(self.numbering))
            file.flush()
            if self._sync:
                os.fsync(file.fileno())
        temporary.rename(self._path)
        if self._sync:
            sync_directory(self._path.parent)

    def _load(self) -> None:
        if os.fstat(self._file).st_size < _HEADER_SIZE:
            raise StoreError(f"{self._path} is not a FIX session store; move it away")
        with mmap.mmap(self._file, 0, access=mmap.ACCESS_READ) as data:
            version = self._load_header(data)
            position = self._load_records(data)
            is_torn = position < len(data)
        if is_torn:
            os.ftruncate(self._file, position)
        self._size = position
        if version == _FIRST_VERSION:
            self._upgrade()

    def _upgrade(self) -> None:
        """From format version 1. The record comes first: between the two steps the file is one that
        this program reads, and reads in the same way."""
        if self.next_out > 1:
            self.append_numbering(Numbering(_FIRST_FIX_VERSION))
            self.flush()
        with self._path.open("r+b") as file:  # self._file would append
            file.write(_header(self.resets, self._event_seq_at_reset))
            file.flush()
            if self._sync:
                os.fdatasync(file.fileno())

    def _load_records(self, data: mmap.mmap) -> int:
        """Position after the last sound record."""
        position = _HEADER_SIZE
        while position < len(data):
            payload = _payload_at(data, position)
            if not payload:
                if not _is_torn(data, position):
                    raise StoreError(
                        f"{self._path}: the record at byte {position} is damaged; move the file"
                        " away to start the session anew (the client must then log on with"
                        " ResetSeqNumFlag(141)=Y)"
                    )
                break
            self._load_record(payload, position)
            position += _RECORD.size + len(payload)
        return position

    def _load_header(self, data: mmap.mmap) -> int:
        """Returns the version of the format."""
        if data[: len(_MAGIC)] != _MAGIC:
            raise StoreError(f"{self._path} is not a FIX session store; move it away")
        _, version, _, resets, last_event_seq = _HEADER.unpack_from(data)
        if not _FIRST_VERSION <= version <= FORMAT_VERSION:
            raise StoreError(
                f"{self._path} has format version {version}, this program reads {_FIRST_VERSION}"
                f" to {FORMAT_VERSION}; run the program that wrote it"
            )
        if _U32.unpack_from(data, _HEADER.size)[0] != crc32c(data[: _HEADER.size]):
            raise StoreError(f"{self._path}: the header is damaged; move the file away")
        self.resets = resets
        self.last_event_seq = self._event_seq_at_reset = last_event_seq
        return int(version)

    def _load_record(self, payload: bytes, position: int) -> None:
        kind = payload[0]
        if kind == _KIND_SENT:
            _, seq, event_seq, answered_seq, _ = _SENT.unpack_from(payload)
            if seq != self.next_out:
                raise StoreError(f"{self._path}: message {seq} follows {self.next_out - 1}")
            self.next_out = seq + 1
            self.last_event_seq = max(self.last_event_seq, event_seq)
            if answered_seq > self.received_through:
                self.answered.add(answered_seq)
            self._offsets.append(position)
        elif kind == _KIND_RECEIVED:
            self.received_through = _RECEIVED.unpack_from(payload)[1]
            self.answered = {seq for seq in self.answered if seq > self.received_through}
        elif kind == _KIND_NUMBERING:
            _, period_s, flags = _NUMBERING.unpack_from(payload)
            version = payload[_NUMBERING.size :].decode("ascii")
            self.numbering = Numbering(version, period_s, bool(flags & 1), bool(flags & 2))
        else:
            raise StoreError(f"{self._path}: unknown kind {kind} of the record at byte {position}")


def _header(resets: int, last_event_seq: int) -> bytes:
    header = _HEADER.pack(_MAGIC, FORMAT_VERSION, 0, resets, last_event_seq)
    return header + _U32.pack(crc32c(header))


def _numbering_payload(numbering: Numbering) -> bytes:
    version, period_s, is_reset_owed, is_version_open = numbering
    flags = is_reset_owed | is_version_open << 1
    return _NUMBERING.pack(_KIND_NUMBERING, period_s, flags) + version.encode("ascii")


def _numbering_record(numbering: Numbering) -> bytes:
    payload = _numbering_payload(numbering)
    return _RECORD.pack(len(payload), crc32c(payload)) + payload


def _payload_at(data: mmap.mmap, position: int) -> bytes:
    """The payload of the record at `position`, nothing when no sound record stands there."""
    start = position + _RECORD.size
    if start >= len(data):
        return b""
    length, checksum = _RECORD.unpack_from(data, position)
    payload = data[start : start + length] if length <= _MAX_PAYLOAD else b""
    return payload if len(payload) == length and crc32c(payload) == checksum else b""


def _is_torn(data: mmap.mmap, position: int) -> bool:
    """Whether what stands from `position` on, no sound record, is a write that was not finished:
    see the top of this file. False: it is damage."""
    start = position + _RECORD.size
    if start >= len(data):
        return True
    length, checksum = _RECORD.unpack_from(data, position)
    if length > _MAX_PAYLOAD:
        return False
    if start + length > len(data):
        # Cut short, if it is not the length that is wrong: of this record, all of which is here, or
        # of one that others follow.
        return crc32c(data[start:]) != checksum and not _holds_a_record(data, start)
    return not _payload_at(data, start + length) and _misses_a_sector(data, position)


def _holds_a_record(data: mmap.mmap, position: int) -> bool:
    """Whether a sound record stands anywhere from `position` on, at most _MAX_PAYLOAD bytes."""
    return any(_payload_at(data, at) for at in range(position, len(data)))


def _misses_a_sector(data: mmap.mmap, position: int) -> bool:
    """Whether the part of some sector that lies behind `position` reads as zeros."""
    while position < len(data):
        end = min(position - position % _SECTOR + _SECTOR, len(data))
        if not any(data[position:end]):
            return True
        position = end
    return False


class ProgressFile:
    """The number of the last event that has gone through all stores of a gateway.

    Two slots are written in turn, each with its own checksum, so that one of them is always whole.
    The number may lag behind: events that are read twice are recognised by the last_event_seq of
    each SessionStore.
    """

    def __init__(self, path: Path, *, sync: bool = False) -> None:
        """Open or create. Raises StoreError when it is not such a file or of a newer version."""
        self._sync = sync
        self._writes = 0
        self.event_seq = 0
        if not path.exists():
            path.write_bytes(_PROGRESS_HEADER.pack(_PROGRESS_MAGIC, _PROGRESS_VERSION, 0, 0))
        data = path.read_bytes()
        if len(data) < _PROGRESS_HEADER.size or not data.startswith(_PROGRESS_MAGIC):
            raise StoreError(f"{path} is not a progress file; remove it to read the day again")
        version = _PROGRESS_HEADER.unpack_from(data)[1]
        if version != _PROGRESS_VERSION:
            raise StoreError(
                f"{path} has format version {version}, this program reads {_PROGRESS_VERSION}"
            )
        for slot in range(2):
            at = _PROGRESS_HEADER.size + slot * _PROGRESS_SLOT.size
            if len(data) < at + _PROGRESS_SLOT.size:
                continue
            writes, event_seq, checksum = _PROGRESS_SLOT.unpack_from(data, at)
            if crc32c(data[at : at + 16]) == checksum and writes > self._writes:
                self._writes, self.event_seq = writes, event_seq
        self._file = os.open(path, os.O_RDWR)

    def write(self, event_seq: int) -> None:
        """Remember that all events up to this one are in the stores."""
        self.event_seq = event_seq
        self._writes += 1
        slot = struct.pack("<QQ", self._writes, event_seq)
        at = _PROGRESS_HEADER.size + (self._writes % 2) * _PROGRESS_SLOT.size
        os.pwrite(self._file, slot + _U32.pack(crc32c(slot)), at)
        if self._sync:
            os.fdatasync(self._file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def sync_directory(path: Path) -> None:
    """Make a rename in a directory durable."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
