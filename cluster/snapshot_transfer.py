"""A snapshot from the leader to a follower whose next entry the leader no longer has.

Beside pysyncobj, over the same connections, pulled by the follower in small pieces, so that neither
heartbeats nor trading wait for it:

    leader -> follower   snapshot_offer    in the place of every heartbeat: what there is
    follower -> leader   snapshot_request  the next piece that is missing
    leader -> follower   snapshot_chunk    that piece, with its checksum

What is sent are files as they are on the leader's disk: the snapshot, and with it the day files
(events, market data), which otherwise only a replay from the start of the day could make. They
arrive in the folder `incoming`. When all are there, synced, and the snapshot's hash is right, a
marker makes them count; the node then closes, puts them in place and starts on them, the same way
as after any restart. A crash at any moment leaves either the old files or all of the new ones.

A broken connection costs the piece under way, a restart of the follower the file under way.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from crc32c import crc32c

from cluster.codec import CodecError, pack, unpack
from cluster.disk import Disk, DiskFile
from cluster.segment import JournalError
from cluster.snapshot import SnapshotError, SnapshotStore, decode_snapshot, snapshot_name

SNAPSHOTS: Final = "snapshots"
"""Name of the folder of snapshots among the folders that files may belong to."""
DEFAULT_CHUNK_BYTES: Final = 256 << 10
MARKER: Final = "complete"
_NOTE: Final = "offer"
_FILES_MAX: Final = 4096
_FILE_BYTES_MAX: Final = 1 << 40
_FETCHING_S: Final = 5.0
_REPEAT_AFTER_S: Final = 0.25
"""A piece that was asked for and has not come is asked for again after this time."""
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

logger = logging.getLogger(__name__)

T = TypeVar("T")
Message = dict[str, Any]
Send = Callable[[int, Message], None]
DayFiles = Callable[[], dict[str, tuple[Path, list[tuple[str, int]]]]]


class Background(Protocol):
    """Runs work beside the loop; `done(result, error)` follows on the loop."""

    def __call__(
        self, work: Callable[[], T], done: Callable[[T | None, BaseException | None], None], /
    ) -> None: ...


class OfferedFile(NamedTuple):
    """A file of an offer: the folder it belongs to, its name there, how many bytes of it."""

    folder: str
    name: str
    size: int


class SnapshotSender:
    """The leader's side. One offer per peer, kept for as long as its snapshot is on the disk."""

    def __init__(
        self,
        disk: Disk,
        snapshots: SnapshotStore,
        day_files: DayFiles,
        send: Send,
        *,
        chunk_bytes: int = DEFAULT_CHUNK_BYTES,
    ) -> None:
        """`day_files()` lists the day files as they are now, by folder name."""
        self._disk = disk
        self._snapshots = snapshots
        self._day_files = day_files
        self._send = send
        self._chunk_bytes = chunk_bytes
        self._offers: dict[int, tuple[Message, list[Path]]] = {}
        self._requested_s = float("-inf")

    def offer(self, peer_id: int, term: int) -> None:
        """Tell a peer what it should fetch. What is wrong with our files must not stop a leader:
        it is logged, and the peer waits for another leader, or for the next snapshot."""
        try:
            known = self._offer_for(peer_id)
        except SnapshotError as error:
            logger.error("%s", error)
        except OSError as error:
            logger.error("no snapshot for node %d: %s", peer_id, error)
        else:
            self._send(peer_id, known | {"term": term})

    def _offer_for(self, peer_id: int) -> Message:
        """The offer that the peer knows, as long as its snapshot is there, else one of the newest
        snapshot that can be read."""
        known = self._offers.get(peer_id)
        indexes = self._snapshots.indexes()
        if known is not None and known[0]["index"] in indexes:
            return known[0]
        for index in reversed(indexes):
            try:
                self._offers[peer_id] = self._make_offer(index)
            except SnapshotError as error:
                logger.error("%s; it is put aside", error)
                self._snapshots.put_aside(index)
            else:
                return self._offers[peer_id][0]
        raise SnapshotError(
            f"{self._snapshots.directory}: no snapshot for node {peer_id}, and the log is trimmed: "
            "take one with `exchange snapshot`"
        )

    def _make_offer(self, index: int) -> tuple[Message, list[Path]]:
        path = self._snapshots.path(index)
        files = [OfferedFile(SNAPSHOTS, path.name, self._disk.file_size(path))]
        paths = [path]
        for folder, (directory, names) in self._day_files().items():
            files += [OfferedFile(folder, name, size) for name, size in names]
            paths += [directory / name for name, _ in names]
        message = {
            "type": "snapshot_offer",
            "index": index,
            "snapshot_term": self._snapshots.header(index).term,
            "files": tuple(files),
        }
        return message, paths

    def requested(self, peer_id: int, message: Message, now_s: float) -> None:
        """Send a piece; a file that is gone makes a new offer."""
        self._requested_s = now_s
        known = self._offers.get(peer_id)
        if known is None or known[0]["index"] != message["index"]:
            return
        offer, paths = known
        number, offset = message["file"], message["offset"]
        if not (0 <= number < len(paths) and 0 <= offset < offer["files"][number].size):
            return
        size = min(self._chunk_bytes, offer["files"][number].size - offset)
        try:
            file = self._disk.open(paths[number])
            try:
                data = file.read_at(offset, size)
            finally:
                file.close()
        except OSError as error:  # the oldest file of a day may go at any time
            logger.warning("the snapshot for node %d is offered anew: %s", peer_id, error)
            del self._offers[peer_id]
            return
        chunk = {"index": message["index"], "file": number, "offset": offset}
        self._send(peer_id, {"type": "snapshot_chunk", "crc": crc32c(data), "data": data} | chunk)

    def is_busy(self, now_s: float) -> bool:
        """Whether a peer is fetching: a new snapshot would take the one that it fetches away."""
        return now_s - self._requested_s < _FETCHING_S


class SnapshotReceiver:
    """The follower's side."""

    def __init__(
        self,
        disk: Disk,
        directory: Path,
        folders: frozenset[str],
        send: Send,
        background: Background,
        on_complete: Callable[[int], None],
    ) -> None:
        """`directory` is where files arrive; `folders` are the names of those that may be sent.
        `background(work, done)` runs what waits for the disk beside the loop. `on_complete(index)`
        is called when a snapshot is ready to be put in place."""
        self._disk = disk
        self._directory = directory
        self._folders = folders
        self._send = send
        self._background = background
        self._on_complete = on_complete
        self._index = 0
        self._files: list[OfferedFile] = []
        self._offered: tuple[Any, ...] = ()
        self._number = 0
        """Which file comes now."""
        self._offset = 0
        self._file: DiskFile | None = None
        self._asked_s = float("-inf")
        self._busy = False
        """The disk is at work: nothing is asked for until it is done."""
        self.bytes_received = 0

    def offered(self, peer_id: int, message: Message, now_s: float) -> None:
        """Begin, or go on. Raises CodecError for an offer that no member makes, OSError."""
        if self._busy:
            return
        if (message["index"], message["files"]) != (self._index, self._offered):
            self._begin(message["index"], [OfferedFile(*file) for file in message["files"]])
            self._offered = message["files"]
        if now_s - self._asked_s >= _REPEAT_AFTER_S:
            self._ask(peer_id, now_s)

    def received(self, peer_id: int, message: Message, now_s: float) -> None:
        """Take a piece and ask for the next one. Raises OSError."""
        expected = (self._index, self._number, self._offset)
        if self._busy or (message["index"], message["file"], message["offset"]) != expected:
            return
        data = message["data"]
        if crc32c(data) != message["crc"] or not data:
            logger.warning("a piece of the snapshot arrived damaged; it is asked for again")
            return
        if self._file is None:
            self._file = self._disk.create(self._directory / str(self._number))
        self._file.write_at(self._offset, data)
        self._offset += len(data)
        self.bytes_received += len(data)
        if self._offset >= self._files[self._number].size:
            self._end_of_file(peer_id)
        else:
            self._ask(peer_id, now_s)

    def close(self) -> None:
        """Stop; what is whole is kept for the next time."""
        self._busy = True
        if self._file is not None:
            self._file.close()
            self._file = None

    # --- inside ---

    def _begin(self, index: int, files: list[OfferedFile]) -> None:
        """A new offer; whole files of the same one from before a restart are taken as they are."""
        _check_offer(index, files, self._folders)
        if self._file is not None:
            self._file.close()
            self._file = None
        self._index, self._files = index, files
        self._number = self._offset = 0
        self._asked_s = float("-inf")
        note = _encode_note(index, files)
        self._disk.make_directory(self._directory)
        names = self._disk.list_directory(self._directory)
        if _NOTE in names and self._disk.read(self._directory / _NOTE) == note:
            # a file is begun once the one before it is synced
            self._number = max([int(name) for name in names if name.isdigit()], default=0)
        else:
            for name in names:
                self._disk.remove(self._directory / name)
            # before the note says that what is here belongs to this offer
            self._disk.sync_directory(self._directory)
            _write_synced(self._disk, self._directory / _NOTE, note)
        logger.info(
            "fetching the snapshot after entry %d: %d files, %d bytes",
            index,
            len(files),
            sum(file.size for file in files),
        )

    def _ask(self, peer_id: int, now_s: float) -> None:
        self._asked_s = now_s
        request = {"index": self._index, "file": self._number, "offset": self._offset}
        self._send(peer_id, {"type": "snapshot_request"} | request)

    def _end_of_file(self, peer_id: int) -> None:
        """Sync it beside the loop; then the next one, or all are there."""
        file, self._file = self._file, None
        assert file is not None
        is_last = self._number + 1 == len(self._files)
        folder, path = self._files[self._number].folder, self._directory / str(self._number)
        self._busy = True

        def work() -> None:
            try:
                file.sync_data()
            finally:
                file.close()
            self._disk.sync_directory(self._directory)
            if folder == SNAPSHOTS:  # the first one: the rest need not be fetched for a bad one
                check_received(self._disk.read(path), path, self._index)
            if is_last:
                self._complete()

        def done(_: None, error: BaseException | None) -> None:
            self._busy = False
            if isinstance(error, SnapshotError):  # A3: it never counts
                logger.error("the snapshot that was fetched is not used: %s", error)
                self._send(peer_id, {"type": "snapshot_damaged", "index": self._index})
                self._index, self._offered = 0, ()
                self._disk.remove(self._directory / _NOTE)
                return
            if error is not None:
                raise error
            if is_last:
                self._busy = True
                self._on_complete(self._index)
                return
            self._number += 1
            self._offset = 0
            self._asked_s = float("-inf")  # the next offer asks

        self._background(work, done)

    def _complete(self) -> None:
        """All files are synced, and the hash of the snapshot was checked: let them count."""
        names = self._disk.list_directory(self._directory)
        for number, file in enumerate(self._files):
            path = self._directory / str(number)
            if path.name not in names or self._disk.file_size(path) != file.size:
                raise SnapshotError(f"{path}: is not {file.size} bytes long")
        _write_synced(self._disk, self._directory / MARKER, _encode_note(self._index, self._files))


def check_received(data: bytes, path: Path, index: int) -> None:
    """A3: pysyncobj acknowledges a snapshot that fails to load. Story: (1) a piece of the leader's
    file is damaged; (2) the follower cannot load it, and answers all the same with its own last
    index; (3) the leader counts entries that it never had. Raises SnapshotError."""
    header = decode_snapshot(data, path).header
    if header.log_index != index:
        raise SnapshotError(f"{path}: it is of entry {header.log_index}, not {index}")


def _check_offer(index: int, files: list[OfferedFile], folders: frozenset[str]) -> None:
    """Files of peers go into our folders only, under harmless names. Raises CodecError."""
    if not 0 < len(files) <= _FILES_MAX:
        raise CodecError(f"a snapshot of {len(files)} files; 1 to {_FILES_MAX} are allowed")
    named = [file.name for file in files if file.folder == SNAPSHOTS]
    if named != [snapshot_name(index)] or files[0].folder != SNAPSHOTS:
        raise CodecError(f"the offer of snapshot {index} does not hold that snapshot")
    for file in files:
        harmless = file.folder in folders | {SNAPSHOTS} and _FILE_NAME.fullmatch(file.name)
        if not (harmless and 0 < file.size <= _FILE_BYTES_MAX):
            raise CodecError(f"a snapshot with {file}")


def _encode_note(index: int, files: list[OfferedFile]) -> bytes:
    packed = pack((index, files))
    return crc32c(packed).to_bytes(4, "little") + packed


def _decode_note(data: bytes, path: Path) -> tuple[int, list[OfferedFile]]:
    if len(data) < 4 or crc32c(data[4:]).to_bytes(4, "little") != data[:4]:
        raise JournalError(
            f"{path}: damaged; remove the folder {path.parent} and start the node again: "
            "what was being fetched is fetched once more"
        )
    index, files = unpack(data[4:])
    return index, [OfferedFile(*file) for file in files]


def _write_synced(disk: Disk, path: Path, data: bytes) -> None:
    """A small file that is there as a whole or not at all."""
    temporary = path.with_name(f"{path.name}.tmp")
    file = disk.create(temporary)
    try:
        file.write_at(0, data)
        file.sync_data()
    finally:
        file.close()
    disk.rename(temporary, path)
    disk.sync_directory(path.parent)


def install_received(
    disk: Disk, directory: Path, snapshots: SnapshotStore, folders: dict[str, Path]
) -> int | None:
    """When a node starts: put a complete snapshot in place, if one has arrived; returns its index.

    May be interrupted anywhere and is then done again. Raises OSError, JournalError."""
    disk.make_directory(directory)
    if MARKER not in disk.list_directory(directory):
        return None
    index, files = _decode_note(disk.read(directory / MARKER), directory / MARKER)
    good = (known for known in reversed(snapshots.indexes()) if snapshots.is_good(known))
    if index > next(good, 0):
        _move_into_place(disk, directory, files, folders | {SNAPSHOTS: snapshots.directory})
    for folder in (*folders.values(), snapshots.directory):  # also what an earlier try renamed
        disk.make_directory(folder)
        disk.sync_directory(folder)
    for name in sorted(disk.list_directory(directory), key=lambda name: name == MARKER):
        disk.remove(directory / name)  # the marker last
    disk.sync_directory(directory)
    snapshots.prune()
    return index


def _move_into_place(
    disk: Disk, directory: Path, files: list[OfferedFile], folders: dict[str, Path]
) -> None:
    """Day files first, the snapshot last: as long as it is not there, this is done again."""
    for folder, path in folders.items():
        if folder == SNAPSHOTS:
            continue
        disk.make_directory(path)
        wanted = {file.name for file in files if file.folder == folder}
        for name in disk.list_directory(path):
            if name not in wanted:
                disk.remove(path / name)
    arrived = disk.list_directory(directory)
    for number, file in sorted(enumerate(files), key=lambda item: item[1].folder == SNAPSHOTS):
        if str(number) in arrived:
            disk.rename(directory / str(number), folders[file.folder] / file.name)
            disk.sync_directory(folders[file.folder])
