"""A snapshot from the leader to a follower whose next entry the leader no longer has.

Beside pysyncobj, over the same connections, pulled by the follower in small pieces, so that neither
heartbeats nor trading wait for it:

    leader -> follower   snapshot_offer    in the place of heartbeats: which snapshot there is
    follower -> leader   snapshot_request  for the list of files, then for piece after piece
    leader -> follower   snapshot_files    the list
    leader -> follower   snapshot_chunk    a piece, with its checksum

What is sent are files as they are on the leader's disk: the day files (events, market data), which
otherwise only a replay from the start of the day could make, and the snapshot, which comes last.
They arrive in the folder `incoming`. When all are there, synced, and the snapshot's hash is right,
a marker makes them count; the node then closes, puts them in place and starts on them, the same way
as after any restart. A crash at any moment leaves either the old files or all of the new ones.

An offer names its source: one life of one node, whose day files only grow. As long as the source is
the same, what has arrived is kept: a broken connection costs the piece under way, a restart of the
follower the file under way, and a newer snapshot only the older one. Files of two sources are never
mixed, since their blocks need not begin at the same numbers.
"""

from __future__ import annotations

import functools
import logging
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from crc32c import crc32c

from cluster.codec import CodecError, pack, unpack
from cluster.disk import Disk, DiskFile
from cluster.segment import JournalError
from cluster.snapshot import (
    DamagedSnapshot,
    SnapshotError,
    SnapshotStore,
    decode_snapshot,
    snapshot_name,
)

SNAPSHOTS: Final = "snapshots"
"""Name of the folder of snapshots among the folders that files may belong to."""
DEFAULT_CHUNK_BYTES: Final = 256 << 10
MARKER: Final = "complete"
LIST: Final = -1
"""File number in a request for the list."""
_NOTE: Final = "source"
_PART: Final = ".part"
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


def _at_once(work: Callable[[], T], done: Callable[[T | None, BaseException | None], None]) -> None:
    """Not beside the loop: where a disk never lets anybody wait."""
    try:
        result = work()
    except Exception as error:
        done(None, error)
    else:
        done(result, None)


class OfferedFile(NamedTuple):
    """A file of an offer: the folder it belongs to, its name there, how many bytes of it."""

    folder: str
    name: str
    size: int

    @property
    def arrives_as(self) -> str:
        """Its name in the folder of what arrives."""
        return f"{self.folder}@{self.name}"


class _Offer(NamedTuple):
    """What a sender has listed for a peer."""

    log_index: int
    files: list[OfferedFile]
    paths: list[Path]


class SnapshotSender:
    """The leader's side."""

    def __init__(
        self,
        disk: Disk,
        snapshots: SnapshotStore,
        day_files: DayFiles,
        send: Send,
        *,
        chunk_bytes: int = DEFAULT_CHUNK_BYTES,
        source: int | None = None,
        background: Background = _at_once,
        first_index: Callable[[], int] = lambda: 0,
        on_missing: Callable[[], None] = lambda: None,
    ) -> None:
        """`day_files()` lists the day files as they are now, by folder name. `source` names this
        life of this node; None draws a name. `background(work, done)` runs what waits for the
        disk beside the loop. `first_index()` is the first entry that the journal
        still has: an older snapshot is of no use. `on_missing()`: there is no snapshot to offer."""
        self._disk = disk
        self._snapshots = snapshots
        self._day_files = day_files
        self._send = send
        self._chunk_bytes = chunk_bytes
        self._source = secrets.randbits(63) if source is None else source
        self._background = background
        self._reading: set[int] = set()
        """Peers for which a piece is being read."""
        self._first_index = first_index
        self._on_missing = on_missing
        self._complaint = ""
        self._newest: tuple[int, int] | None = None
        self._listed: dict[int, _Offer] = {}
        self._requested_s = float("-inf")

    def offer(self, peer_id: int, term: int) -> None:
        """Tell a peer what it should fetch. What is wrong with our files must not stop a leader:
        it is logged, and the peer waits for another leader, or for the next snapshot."""
        try:
            newest = self._newest_good()
        except OSError as error:
            self._complain(f"no snapshot for node {peer_id}: {error}")
            return
        if newest is None:
            self._complain(
                f"node {peer_id} needs a snapshot and {self._snapshots.directory} has none that "
                "the journal goes on from; one is taken now"
            )
            self._on_missing()
            return
        self._complaint = ""
        index, snapshot_term = newest
        self._send(
            peer_id,
            {
                "type": "snapshot_offer",
                "term": term,
                "source": self._source,
                "index": index,
                "snapshot_term": snapshot_term,
            },
        )

    def _complain(self, text: str) -> None:
        """Once: an offer is due with every heartbeat."""
        if text != self._complaint:
            self._complaint = text
            logger.error("%s", text)

    def _newest_good(self) -> tuple[int, int] | None:
        """(index, term) of the newest snapshot whose header can be read; None if there is none."""
        indexes = self._snapshots.indexes()
        if self._newest is not None and indexes and self._newest[0] == indexes[-1]:
            return self._newest
        for index in reversed(indexes):
            if index < self._first_index():
                break
            try:
                self._newest = (index, self._snapshots.header(index).term)
            except DamagedSnapshot as error:
                logger.error("%s; it is put aside", error)
                self._snapshots.put_aside(index)
            else:
                return self._newest
        return None

    def requested(self, peer_id: int, message: Message, now_s: float) -> None:
        """Send the list, or a piece. What cannot be read is offered anew."""
        if message["source"] != self._source:
            return
        self._requested_s = now_s
        if message["file"] != LIST:
            self._send_piece(peer_id, message)
        else:
            self._send_list(peer_id, message["index"])

    def _send_list(self, peer_id: int, index: int) -> None:
        try:
            if index in self._snapshots.indexes():
                self._list(peer_id, index)
        except OSError as error:
            self._complain(f"no snapshot for node {peer_id}: {error}")

    def _list(self, peer_id: int, index: int) -> None:
        path = self._snapshots.path(index)
        files: list[OfferedFile] = []
        paths: list[Path] = []
        for folder, (directory, names) in self._day_files().items():
            files += [OfferedFile(folder, name, size) for name, size in names if size]
            paths += [directory / name for name, size in names if size]
        files.append(OfferedFile(SNAPSHOTS, path.name, self._disk.file_size(path)))
        paths.append(path)
        self._listed[peer_id] = _Offer(index, files, paths)
        self._send(
            peer_id,
            {
                "type": "snapshot_files",
                "source": self._source,
                "index": index,
                "files": tuple(files),
            },
        )

    def _send_piece(self, peer_id: int, message: Message) -> None:
        """Read it beside the loop: files of hours ago may be on the disk only."""
        offer = self._listed.get(peer_id)
        if offer is None or offer.log_index != message["index"] or peer_id in self._reading:
            return
        number, offset = message["file"], message["offset"]
        if not (0 <= number < len(offer.files) and 0 <= offset < offer.files[number].size):
            return
        size = min(self._chunk_bytes, offer.files[number].size - offset)
        path = offer.paths[number]

        def read() -> bytes:
            file = self._disk.open(path)
            try:
                return file.read_at(offset, size)
            finally:
                file.close()

        def done(data: bytes | None, error: BaseException | None) -> None:
            self._reading.discard(peer_id)
            if data is None:  # the oldest file of a day may go at any time
                logger.warning("the snapshot for node %d is listed anew: %s", peer_id, error)
                self._listed.pop(peer_id, None)
                self._send_list(peer_id, message["index"])
                return
            place = {key: message[key] for key in ("source", "index", "file", "offset")}
            self._send(
                peer_id, {"type": "snapshot_chunk", "crc": crc32c(data), "data": data} | place
            )

        self._reading.add(peer_id)
        self._background(read, done)

    def is_busy(self, now_s: float) -> bool:
        """Whether a peer is fetching: a new snapshot would take the one that it fetches away."""
        return now_s - self._requested_s < _FETCHING_S


class SnapshotReceiver:
    """The follower's side. Whatever waits for the disk runs beside the loop; nothing is asked for
    meanwhile."""

    def __init__(
        self,
        disk: Disk,
        directory: Path,
        folders: frozenset[str],
        send: Send,
        background: Background,
        on_complete: Callable[[int], None],
        *,
        is_needed: Callable[[int], bool] = lambda _: True,
    ) -> None:
        """`directory` is where files arrive; `folders` are the names of those that may be sent.
        `on_complete(index)` is called when a snapshot is ready to be put in place; not when it is
        no longer needed by then."""
        self._disk = disk
        self._directory = directory
        self._folders = folders
        self._send = send
        self._background = background
        self._on_complete = on_complete
        self._is_needed = is_needed
        self._source: int | None = None
        self._index = 0
        self._files: list[OfferedFile] = []
        """What is listed in the offer; empty while the list is not here."""
        self._whole: dict[str, int] = {}
        """Length of the files that have arrived and are synced, by the name they arrive as."""
        self._number = 0
        """Which file comes now."""
        self._part: DiskFile | None = None
        self._part_name = ""
        self._offset = 0
        self._term = 0
        self._asked_s = float("-inf")
        self._seen_s = float("-inf")
        """When the sender was last heard."""
        self._busy = False
        """The disk is at work: nothing is asked for until it is done."""
        self._closed = False
        self.bytes_received = 0

    # --- messages ---

    def offered(self, peer_id: int, message: Message, now_s: float) -> None:
        """Begin, or go on."""
        self._term, self._seen_s = message["term"], now_s
        if self._busy:
            return
        if message["source"] != self._source:
            self._begin(peer_id, message["source"], message["index"])
        elif message["index"] != self._index:
            self._index, self._files = message["index"], []  # what is here stays, see `listed`
            self._ask(peer_id, now_s)
        elif now_s - self._asked_s >= _REPEAT_AFTER_S:
            self._ask(peer_id, now_s)

    def listed(self, peer_id: int, message: Message, now_s: float) -> None:
        """Take the list of files. Raises CodecError for one that no member makes."""
        if self._busy or (message["source"], message["index"]) != (self._source, self._index):
            return
        files = [OfferedFile(*file) for file in message["files"]]
        _check_list(self._index, files, self._folders)
        self._files = files
        logger.info(
            "fetching the snapshot after entry %d: %d files, %d bytes",
            self._index,
            len(files),
            sum(file.size for file in files),
        )
        wanted = {file.arrives_as: file.size for file in files}
        if self._part is not None and self._offset > wanted.get(self._part_name, 0):
            self._drop_part()
        part_name = self._part_name
        stale = [name for name, size in self._whole.items() if size > wanted.get(name, 0)]
        for name in stale:
            del self._whole[name]

        def tidy() -> None:
            for name in self._disk.list_directory(self._directory):
                is_old_part = name.endswith(_PART) and name != part_name + _PART
                if name in stale or is_old_part:
                    self._disk.remove(self._directory / name)

        self._run(tidy, lambda: self._next_file(peer_id))

    def received(self, peer_id: int, message: Message, now_s: float) -> None:
        """Take a piece and ask for the next one. Raises OSError."""
        self._seen_s = now_s
        place = (message["source"], message["index"], message["file"], message["offset"])
        if self._busy or not self._files:
            return
        if place != (self._source, self._index, self._number, self._offset):
            return
        data, file = message["data"], self._files[self._number]
        if crc32c(data) != message["crc"] or not 0 < len(data) <= file.size - self._offset:
            logger.warning("a piece of the snapshot arrived damaged; it is asked for again")
            return
        assert self._part is not None
        self._part.write_at(self._offset, data)
        self._offset += len(data)
        self.bytes_received += len(data)
        if self._offset == file.size:
            self._end_of_file(peer_id, file)
        else:
            self._ask(peer_id, now_s)

    def abandon(self) -> None:
        """Nothing is being fetched any more: give the space back."""
        if self._busy:
            return
        self._drop_part()
        self._source, self._files, self._whole = None, [], {}

        def clear() -> None:
            for name in self._disk.list_directory(self._directory):
                self._disk.remove(self._directory / name)

        self._run(clear, lambda: None)

    def abandon_if_idle(self, now_s: float) -> None:
        """The same, unless something was asked for a moment ago."""
        if now_s - max(self._asked_s, self._seen_s) > _FETCHING_S:
            self.abandon()

    def close(self) -> None:
        """Stop; what is whole is kept for the next time."""
        self._busy = self._closed = True
        if self._part is not None:
            self._part.close()
            self._part = None

    # --- inside ---

    def _run(self, work: Callable[[], None], then: Callable[[], None]) -> None:
        """Do something with the disk beside the loop, then go on. Whatever is raised stops the
        node."""
        self._busy = True

        def done(_: None, error: BaseException | None) -> None:
            if self._closed:
                return
            self._busy = False
            if error is not None:
                raise error
            then()

        self._background(work, done)

    def _begin(self, peer_id: int, source: int, index: int) -> None:
        """Another source than before; whole files of the same one from before a restart stay."""
        self._drop_part()
        self._source, self._index, self._files = source, index, []
        self._whole = {}
        note = _encode_note(source)
        arrived: dict[str, int] = {}

        def work() -> None:
            self._disk.make_directory(self._directory)
            names = self._disk.list_directory(self._directory)
            known = _NOTE in names and self._disk.read(self._directory / _NOTE) == note
            for name in names:
                if not known or name.endswith(_PART):
                    self._disk.remove(self._directory / name)
                elif "@" in name:
                    arrived[name] = self._disk.file_size(self._directory / name)
            # before the note says that what is here is of this source
            self._disk.sync_directory(self._directory)
            if not known:
                _write_synced(self._disk, self._directory / _NOTE, note)

        def then() -> None:
            self._whole = arrived
            self._ask(peer_id, self._seen_s)

        self._run(work, then)

    def _drop_part(self) -> None:
        if self._part is not None:
            self._part.close()
        self._part, self._part_name, self._offset = None, "", 0

    def _ask(self, peer_id: int, now_s: float) -> None:
        self._asked_s = now_s
        number = self._number if self._files else LIST
        offset = self._offset if self._files else 0
        place = {"source": self._source, "index": self._index, "file": number, "offset": offset}
        self._send(peer_id, {"type": "snapshot_request", "term": self._term} | place)

    def _next_file(self, peer_id: int) -> None:
        """Go on with the first file that is not whole; when all are, let them count."""
        for number, file in enumerate(self._files):
            if self._whole.get(file.arrives_as) != file.size:
                self._number = number
                self._run(
                    functools.partial(self._open_part, file),
                    functools.partial(self._ask, peer_id, self._seen_s),
                )
                return
        if not self._is_needed(self._index):
            logger.info("the snapshot after entry %d is no longer needed", self._index)
            self.abandon()
            return
        index, files = self._index, self._files

        def complete() -> None:
            _write_synced(self._disk, self._directory / MARKER, _encode_marker(index, files))

        def then() -> None:
            self._busy = True
            self._on_complete(index)

        self._run(complete, then)

    def _open_part(self, file: OfferedFile) -> None:
        """A file that has grown since it was whole goes on where it ended. Under another name: what
        is unsynced must never be taken for whole."""
        if self._part is not None and self._part_name == file.arrives_as:
            return
        self._drop_part()
        path = self._directory / file.arrives_as
        part = self._directory / f"{file.arrives_as}{_PART}"
        begun = self._whole.pop(file.arrives_as, 0)
        if begun:
            self._disk.rename(path, part)
            self._disk.sync_directory(self._directory)
            self._part = self._disk.open(part)
        else:
            self._part = self._disk.create(part)
        self._part_name, self._offset = file.arrives_as, begun

    def _end_of_file(self, peer_id: int, file: OfferedFile) -> None:
        """Sync it, check it if it is the snapshot, and let it be whole."""
        part, self._part = self._part, None
        index = self._index
        refusal: list[SnapshotError] = []
        assert part is not None
        path = self._directory / file.arrives_as
        part_path = self._directory / f"{file.arrives_as}{_PART}"

        def work() -> None:
            try:
                part.sync_data()
            finally:
                part.close()
            if file.folder == SNAPSHOTS:
                try:
                    check_received(self._disk.read(part_path), part_path, index)
                except SnapshotError as error:
                    self._disk.remove(part_path)
                    refusal.append(error)
                    return
            self._disk.rename(part_path, path)
            self._disk.sync_directory(self._directory)

        def then() -> None:
            self._drop_part()
            if refusal:  # A3: it never counts
                logger.error("the snapshot that was fetched is not used: %s", refusal[0])
                self._send(peer_id, {"type": "snapshot_damaged", "index": index})
                self._files = []
                return
            self._whole[file.arrives_as] = file.size
            self._next_file(peer_id)

        self._run(work, then)


def check_received(data: bytes, path: Path, index: int) -> None:
    """A3: pysyncobj acknowledges a snapshot that fails to load. Story: (1) the leader's file is
    damaged; (2) the follower cannot load it, and answers all the same with its own last index; (3)
    the leader counts entries that it never had. Raises SnapshotError."""
    header = decode_snapshot(data, path).header
    if header.log_index != index:
        raise SnapshotError(f"{path}: it is of entry {header.log_index}, not {index}")


def _check_list(index: int, files: list[OfferedFile], folders: frozenset[str]) -> None:
    """Files of peers go into our folders only, under harmless names. Raises CodecError."""
    if not 0 < len(files) <= _FILES_MAX:
        raise CodecError(f"a snapshot of {len(files)} files; 1 to {_FILES_MAX} are allowed")
    named = [file.name for file in files if file.folder == SNAPSHOTS]
    if named != [snapshot_name(index)] or files[-1].folder != SNAPSHOTS:
        raise CodecError(f"the list of snapshot {index} does not end with that snapshot")
    if len({file.arrives_as for file in files}) != len(files):
        raise CodecError("a file is listed twice")
    for file in files:
        harmless = file.folder in folders | {SNAPSHOTS} and _FILE_NAME.fullmatch(file.name)
        if not (harmless and 0 < file.size <= _FILE_BYTES_MAX) or file.name.endswith(_PART):
            raise CodecError(f"a snapshot with {file}")


def _checked(packed: bytes) -> bytes:
    return crc32c(packed).to_bytes(4, "little") + packed


def _encode_note(source: int) -> bytes:
    return _checked(pack(source))


def _encode_marker(index: int, files: list[OfferedFile]) -> bytes:
    return _checked(pack((index, files)))


def _decode_marker(data: bytes, path: Path) -> tuple[int, list[OfferedFile]]:
    if len(data) < 4 or _checked(data[4:]) != data:
        raise JournalError(
            f"{path}: damaged; remove the folder {path.parent} and start the node again: "
            "what was being fetched is fetched once more"
        )
    index, files = unpack(data[4:])
    return index, [OfferedFile(*file) for file in files]


def _write_synced(disk: Disk, path: Path, data: bytes) -> None:
    """A small file that is there as a whole or not at all."""
    temporary = path.with_name(f"{path.name}{_PART}")
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
    index, files = _decode_marker(disk.read(directory / MARKER), directory / MARKER)
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
    *day_files, snapshot = files
    for file in day_files:
        if file.arrives_as in arrived:
            disk.rename(directory / file.arrives_as, folders[file.folder] / file.name)
    for path in folders.values():
        disk.sync_directory(path)
    if snapshot.arrives_as in arrived:
        disk.rename(directory / snapshot.arrives_as, folders[SNAPSHOTS] / snapshot.name)
