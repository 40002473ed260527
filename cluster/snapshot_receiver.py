"""The follower's side of a snapshot transfer: see snapshot_transfer.py for the messages."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from crc32c import crc32c

from cluster.codec import pack
from cluster.disk import Disk, DiskFile
from cluster.snapshot import SnapshotError
from cluster.snapshot_install import (
    MARKER,
    PART,
    SNAPSHOTS,
    OfferedFile,
    check_list,
    check_received,
    checked,
    encode_marker,
    write_synced,
)
from cluster.snapshot_transfer import FETCHING_S, LIST, Background, Message, Send

_NOTE: Final = "source"
_REPEAT_AFTER_S: Final = 0.25
"""A piece that was asked for and has not come is asked for again after this time."""

logger = logging.getLogger(__name__)


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
        check_list(self._index, files, self._folders)
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
                is_old_part = name.endswith(PART) and name != part_name + PART
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
        if now_s - max(self._asked_s, self._seen_s) > FETCHING_S:
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
        note = checked(pack(source))
        arrived: dict[str, int] = {}

        def work() -> None:
            self._disk.make_directory(self._directory)
            names = self._disk.list_directory(self._directory)
            known = _NOTE in names and self._disk.read(self._directory / _NOTE) == note
            for name in names:
                if not known or name.endswith(PART):
                    self._disk.remove(self._directory / name)
                elif "@" in name:
                    arrived[name] = self._disk.file_size(self._directory / name)
            # before the note says that what is here is of this source
            self._disk.sync_directory(self._directory)
            if not known:
                write_synced(self._disk, self._directory / _NOTE, note)

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
            write_synced(self._disk, self._directory / MARKER, encode_marker(index, files))

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
        part = self._directory / f"{file.arrives_as}{PART}"
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
        part_path = self._directory / f"{file.arrives_as}{PART}"

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
