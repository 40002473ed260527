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

A record that is cut short or fails its checksum at the end of the file was being written when the
process died, and nothing it says has been sent: it is cut off. One in the middle is damage, and
the store refuses to open.
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

FORMAT_VERSION = 1
_MAGIC = b"FIXSTORE"
_HEADER = struct.Struct("<8sHHIQ")
_HEADER_SIZE = _HEADER.size + 4
_RECORD = struct.Struct("<II")
_SENT = struct.Struct("<BQQQB")
_RECEIVED = struct.Struct("<BQ")
_U32 = struct.Struct("<I")
_KIND_SENT = 1
_KIND_RECEIVED = 2
_MAX_PAYLOAD = 1 << 21
_READ_CHUNK = 1 << 18

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


class SessionStore:
    """The durable state of one session. Appended records go to the file with flush().

    After open: `next_out` is the next MsgSeqNum to send, `received_through` the last one received
    that was dealt with (all before it, too), `last_event_seq` the newest event of which a message
    was stored, `answered` the numbers above `received_through` that the gateway answered by itself,
    `resets` how often the numbers began again at 1.
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
        if not path.exists():
            self._create(0)
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

    def reset(self, event_seq: int) -> None:
        """Numbers begin again at 1 in both directions; the messages of before are forgotten.

        `event_seq` is the event that says so: what happened up to it is not told again. The new
        file takes the place of the old one in one step.
        """
        self._pending.clear()
        os.close(self._file)
        self._create(self.resets + 1, max(event_seq, self.last_event_seq))
        self._file = os.open(self._path, os.O_RDWR | os.O_APPEND)
        self._offsets = array("Q")
        self.answered.clear()
        self.next_out = 1
        self.received_through = 0
        self._load()

    def _create(self, resets: int, last_event_seq: int = 0) -> None:
        header = _HEADER.pack(_MAGIC, FORMAT_VERSION, 0, resets, last_event_seq)
        temporary = self._path.with_suffix(".new")
        with temporary.open("wb") as file:
            file.write(header + _U32.pack(crc32c(header)))
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
            self._load_header(data)
            position = self._load_records(data)
            is_torn = position < len(data)
        if is_torn:
            os.ftruncate(self._file, position)
        self._size = position

    def _load_records(self, data: mmap.mmap) -> int:
        """Position after the last sound record."""
        position = _HEADER_SIZE
        while position + _RECORD.size <= len(data):
            start = position + _RECORD.size
            length, checksum = _RECORD.unpack_from(data, position)
            payload = data[start : start + length] if length <= _MAX_PAYLOAD else b""
            if not payload or len(payload) < length or crc32c(payload) != checksum:
                if self._is_followed_by_a_record(data, start + length):
                    raise StoreError(
                        f"{self._path}: the record at byte {position} is damaged, and sound ones"
                        " follow it; move the file away to start the session anew (the client"
                        " must then log on with ResetSeqNumFlag(141)=Y)"
                    )
                break
            self._load_record(payload, position)
            position = start + length
        return position

    def _load_header(self, data: mmap.mmap) -> None:
        if data[: len(_MAGIC)] != _MAGIC:
            raise StoreError(f"{self._path} is not a FIX session store; move it away")
        _, version, _, resets, last_event_seq = _HEADER.unpack_from(data)
        if version != FORMAT_VERSION:
            raise StoreError(
                f"{self._path} has format version {version}, this program reads {FORMAT_VERSION};"
                " run the program that wrote it"
            )
        if _U32.unpack_from(data, _HEADER.size)[0] != crc32c(data[: _HEADER.size]):
            raise StoreError(f"{self._path}: the header is damaged; move the file away")
        self.resets = resets
        self.last_event_seq = last_event_seq

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
        else:
            raise StoreError(f"{self._path}: unknown kind {kind} of the record at byte {position}")

    @staticmethod
    def _is_followed_by_a_record(data: mmap.mmap, position: int) -> bool:
        """Whether a sound record stands at `position`, where a damaged one claims to end.

        A write that was cut short leaves nothing behind its end; damage in the middle does.
        """
        start = position + _RECORD.size
        if start >= len(data):
            return False
        length, checksum = _RECORD.unpack_from(data, position)
        payload = data[start : start + length] if length <= _MAX_PAYLOAD else b""
        return bool(payload) and len(payload) == length and crc32c(payload) == checksum


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
            path.write_bytes(_PROGRESS_HEADER.pack(_PROGRESS_MAGIC, FORMAT_VERSION, 0, 0))
        data = path.read_bytes()
        if len(data) < _PROGRESS_HEADER.size or not data.startswith(_PROGRESS_MAGIC):
            raise StoreError(f"{path} is not a progress file; remove it to read the day again")
        version = _PROGRESS_HEADER.unpack_from(data)[1]
        if version != FORMAT_VERSION:
            raise StoreError(
                f"{path} has format version {version}, this program reads {FORMAT_VERSION}"
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
