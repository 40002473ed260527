"""Snapshots on disk: the state of the exchange after one log entry, checked before it is believed.

    file    magic 8s | format version u32 | header frame | frames of the state ... | end
    frame   length u32 | crc32c u32 (over the msgpack) | msgpack
    end     length u32, 0 | sha256, 32 bytes, over everything before it (in every version)

All integers are little-endian. The header is a SnapshotHeader as a msgpack array; the frames after
it are the parts of cluster.replica.Replica.snapshot_parts. A file is written under a temporary
name, synced, renamed, and the folder synced: a name that ends in `.snapshot` was whole once. It is
hashed all the same whenever it is read. Two good ones are kept, in case the newer one is damaged
later; one that is found damaged is put aside under the name `.damaged`.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from crc32c import crc32c

from cluster.codec import CodecError, pack, unpack
from cluster.disk import Disk
from cluster.replica import Replica
from cluster.segment import TEMPORARY_SUFFIX, JournalError

MAGIC: Final = b"EXCHSNP\n"
FORMAT_VERSION: Final = 1
SUFFIX: Final = ".snapshot"
DAMAGED_SUFFIX: Final = ".damaged"
KEPT: Final = 2
_PREFIX = struct.Struct("<8sI")
_FRAME = struct.Struct("<II")
_START = struct.Struct("<8sIII")
"""Prefix, and length and checksum of the header frame."""
_END: Final = struct.Struct("<I").pack(0)
_HASH_BYTES: Final = hashlib.sha256().digest_size
_WRITE_BYTES: Final = 1 << 20
_HEADER_BYTES_MAX: Final = 64 << 20

logger = logging.getLogger(__name__)


class SnapshotError(JournalError):
    """A snapshot that cannot be used: which file, what is wrong with it, and what to do."""


class DamagedSnapshot(SnapshotError):
    """Its bytes are not what was written: it is of no use to anybody."""


class SnapshotHeader(NamedTuple):
    """What a snapshot stands for: the state after log entry `log_index` of `term`, `entry`.

    The next event has the number `next_event_seq`. `derived` holds what each sink needs to go on
    (cluster.interface.Derivation.snapshot), by the sink's name. `state_hash` is that of the state.
    """

    log_index: int
    term: int
    entry: bytes
    next_event_seq: int
    time_ns: int
    state_hash: str
    derived: dict[str, Any]


class Snapshot(NamedTuple):
    """A whole snapshot, checked. `parts` is for Replica.restore; it can be read once."""

    header: SnapshotHeader
    parts: Iterator[Any]
    path: Path
    size: int


def snapshot_name(index: int) -> str:
    """File name of the snapshot after log entry `index`."""
    return f"{index:020d}{SUFFIX}"


def snapshot_index(name: str) -> int | None:
    """Log index in a snapshot's file name; None if it is no snapshot."""
    stem = name.removesuffix(SUFFIX)
    if name == stem or len(stem) != 20 or not (stem.isascii() and stem.isdigit()):
        return None
    return int(stem)


def _frame(value: Any) -> bytes:
    packed = pack(value)
    return _FRAME.pack(len(packed), crc32c(packed)) + packed


def encode_snapshot(header: SnapshotHeader, parts: Iterable[Any]) -> Iterator[bytes]:
    """The bytes of a snapshot file, piece by piece."""
    digest = hashlib.sha256()
    pieces = [_PREFIX.pack(MAGIC, FORMAT_VERSION), _frame(tuple(header))]
    for part in parts:
        pieces.append(_frame(part))
        if sum(map(len, pieces)) >= _WRITE_BYTES:
            data = b"".join(pieces)
            digest.update(data)
            yield data
            pieces.clear()
    data = b"".join(pieces) + _END
    digest.update(data)
    yield data + digest.digest()


def decode_snapshot(data: bytes, path: Path) -> Snapshot:
    """Check a snapshot file's bytes and open it. Raises SnapshotError."""
    if len(data) < _PREFIX.size + len(_END) + _HASH_BYTES:
        raise _damaged(path, f"{len(data)} bytes are too few")
    magic, version = _PREFIX.unpack_from(data)
    if magic != MAGIC:
        raise _damaged(path, f"begins with {magic!r} instead of {MAGIC!r}")
    body = memoryview(data)[:-_HASH_BYTES]
    if hashlib.sha256(body).digest() != data[-_HASH_BYTES:]:
        raise _damaged(path, "sha256 is not the one at its end")
    if version != FORMAT_VERSION:
        raise SnapshotError(
            f"{path}: format version {version}, this program reads {FORMAT_VERSION}: "
            "start the program that wrote it, or a newer one, on this folder"
        )
    frames = _frames(data, path)
    fields = next(frames, ())
    if len(fields) != len(SnapshotHeader._fields):
        raise _damaged(path, f"the header has {len(fields)} fields")
    header = SnapshotHeader(*fields)
    return Snapshot(header, frames, path, len(data))


def _frames(data: bytes, path: Path) -> Iterator[Any]:
    view = memoryview(data)
    at = _PREFIX.size
    while True:
        length, crc = _FRAME.unpack_from(data, at)
        if length == 0:
            return
        body = view[at + _FRAME.size : at + _FRAME.size + length]
        if crc32c(body) != crc:
            raise _damaged(path, f"checksum error at byte {at}")
        try:
            yield unpack(body)
        except CodecError as error:
            raise _damaged(path, f"at byte {at}: {error}") from error
        at += _FRAME.size + length


def _damaged(path: Path, what: str) -> DamagedSnapshot:
    return DamagedSnapshot(f"{path}: damaged: {what}")


def restore(snapshot: Snapshot) -> Replica:
    """The state that a snapshot holds. Raises SnapshotError when it is of a newer program."""
    try:
        return Replica.restore(snapshot.parts)
    except ValueError as error:
        raise SnapshotError(f"{snapshot.path}: {error}") from error


class SnapshotStore:
    """The snapshots in one folder. Every method may raise OSError."""

    def __init__(self, disk: Disk, directory: Path) -> None:
        self.directory = directory
        self._disk = disk
        self.kept: list[int] = []
        """Log entries of the good snapshots when the last one was written, oldest first."""

    def indexes(self) -> list[int]:
        """Log indexes of the snapshots in the folder, oldest first; none of them checked."""
        try:
            names = self._disk.list_directory(self.directory)
        except FileNotFoundError:  # nobody has written one yet
            return []
        found = (snapshot_index(name) for name in names)
        return sorted(index for index in found if index is not None)

    def path(self, index: int) -> Path:
        """Where the snapshot after a log entry is."""
        return self.directory / snapshot_name(index)

    def write(self, header: SnapshotHeader, parts: Iterable[Any]) -> int:
        """Write a snapshot so that it counts or is not there; returns its size in bytes."""
        path = self.path(header.log_index)
        temporary = path.with_suffix(TEMPORARY_SUFFIX)
        file = self._disk.create(temporary)
        size = 0
        try:
            for data in encode_snapshot(header, parts):
                file.write_at(size, data)
                size += len(data)
                # Piece by piece: the journal's syncs wait behind all that the disk has to write.
                file.sync_data()
        except OSError:
            # A full disk: the journal must not be the next that finds it full.
            with contextlib.suppress(OSError):
                self._disk.remove(temporary)
            raise
        finally:
            file.close()
        self._disk.rename(temporary, path)
        self._disk.sync_directory(self.directory)
        self.kept = self.prune()
        return size

    def prune(self) -> list[int]:
        """Keep the newest two that are good, and return their log entries, older first; remove
        older ones and what was left half-written. Reads them whole: not for the event loop."""
        self.remove_unfinished()
        good: list[int] = []
        for index in reversed(self.indexes()):
            if len(good) == KEPT:
                self._disk.remove(self.path(index))
            elif self.is_good(index):
                good.insert(0, index)
        return good

    def remove_unfinished(self) -> None:
        """Remove what was left half-written."""
        for name in self._disk.list_directory(self.directory):
            if name.endswith(TEMPORARY_SUFFIX):
                self._disk.remove(self.directory / name)

    def is_good(self, index: int) -> bool:
        """Check a snapshot; one that is damaged is put aside, where it counts no more. One of a
        newer program, or one that cannot be read just now, is neither good nor damaged."""
        try:
            self.load(index)
        except DamagedSnapshot as error:
            logger.error("%s; it is put aside", error)
            self.put_aside(index)
        except FileNotFoundError:  # pruned meanwhile
            pass
        except (SnapshotError, OSError) as error:
            logger.error("%s", error)
        else:
            return True
        return False

    def put_aside(self, index: int) -> None:
        """Let a damaged snapshot count no more; the last one is kept for an inquiry."""
        path = self.path(index)
        for name in self._disk.list_directory(self.directory):
            if name.endswith(DAMAGED_SUFFIX):
                self._disk.remove(self.directory / name)
        self._disk.rename(path, path.with_suffix(DAMAGED_SUFFIX))
        self._disk.sync_directory(self.directory)

    def load(self, index: int) -> Snapshot:
        """The snapshot after a log entry, checked. Raises SnapshotError."""
        path = self.path(index)
        snapshot = decode_snapshot(self._disk.read(path), path)
        if snapshot.header.log_index != index:
            raise _damaged(path, f"it is of log entry {snapshot.header.log_index}")
        return snapshot

    def header(self, index: int) -> SnapshotHeader:
        """Header of the snapshot after a log entry; the rest of the file is not looked at. Raises
        SnapshotError."""
        path = self.path(index)
        file = self._disk.open(path)
        try:
            start = file.read_at(0, _START.size)
            _, _, length, crc = _START.unpack(start.ljust(_START.size, b"\0"))
            body = file.read_at(_START.size, min(length, _HEADER_BYTES_MAX))
        finally:
            file.close()
        if not body or crc32c(body) != crc:
            raise _damaged(path, "checksum error in its header")
        return SnapshotHeader(*unpack(body))

    def newest(self, upto_event_seq: int | None = None) -> Snapshot | None:
        """The newest good snapshot, None if there is none at all; with `upto_event_seq` the newest
        that holds no later event.

        One that is damaged is passed over with an error in the log, as long as an older one is
        good: the journal reaches back to it. Raises SnapshotError when all are damaged, or when
        one is of a newer program."""
        failure: DamagedSnapshot | None = None
        passed_over = False
        for index in reversed(self.indexes()):
            try:
                snapshot = self.load(index)
            except DamagedSnapshot as error:
                failure = error
                logger.error("%s; the one before it is taken", error)
                continue
            if upto_event_seq is None or snapshot.header.next_event_seq - 1 <= upto_event_seq:
                return snapshot
            passed_over = True
        if failure is not None and not passed_over:
            raise failure
        return None
