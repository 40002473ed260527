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

import logging
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from crc32c import crc32c

from cluster.disk import Disk
from cluster.snapshot import DamagedSnapshot, SnapshotStore
from cluster.snapshot_install import SNAPSHOTS, OfferedFile

DEFAULT_CHUNK_BYTES: Final = 256 << 10
LIST: Final = -1
"""File number in a request for the list."""
FETCHING_S: Final = 5.0
"""A peer that has asked for nothing for so long is not fetching any more."""

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


class _Offer(NamedTuple):
    """The files that go with a snapshot, as they were when it was first asked for."""

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
        self._lists: dict[int, _Offer] = {}
        """By the log index of the snapshot."""
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
        """There is one list of each snapshot, and it stays: files grow meanwhile, messages come
        late, and of two lists the peer might go by the one and we by the other."""
        try:
            kept = self._snapshots.indexes()
            self._lists = {at: files for at, files in self._lists.items() if at in kept}
            if index not in kept:
                return
            offer = self._lists.get(index)
            if offer is None:
                offer = self._lists[index] = self._list(index)
        except OSError as error:
            self._complain(f"no snapshot for node {peer_id}: {error}")
            return
        self._send(
            peer_id,
            {
                "type": "snapshot_files",
                "source": self._source,
                "index": index,
                "files": tuple(offer.files),
            },
        )

    def _list(self, index: int) -> _Offer:
        path = self._snapshots.path(index)
        files: list[OfferedFile] = []
        paths: list[Path] = []
        for folder, (directory, names) in self._day_files().items():
            files += [OfferedFile(folder, name, size) for name, size in names if size]
            paths += [directory / name for name, size in names if size]
        files.append(OfferedFile(SNAPSHOTS, path.name, self._disk.file_size(path)))
        paths.append(path)
        return _Offer(files, paths)

    def _send_piece(self, peer_id: int, message: Message) -> None:
        """Read it beside the loop: files of hours ago may be on the disk only."""
        if peer_id in self._reading:
            return
        offer = self._lists.get(message["index"])
        if offer is None:
            # The peer goes by a list that is gone here, and would ask for ever.
            self._send_list(peer_id, message["index"])
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
            if data is None:
                if self._lists.get(message["index"]) is offer:
                    self._become_another_source(peer_id, error)
                return
            place = {key: message[key] for key in ("source", "index", "file", "offset")}
            self._send(
                peer_id, {"type": "snapshot_chunk", "crc": crc32c(data), "data": data} | place
            )

        self._reading.add(peer_id)
        self._background(read, done)

    def _become_another_source(self, peer_id: int, error: BaseException | None) -> None:
        """The oldest file of a day may go at any time, and all that follow it in the list have
        other numbers then. Peers begin anew: what they have is of the source that we were."""
        logger.warning("the snapshot for node %d is offered anew: %s", peer_id, error)
        self._lists.clear()
        self._source = secrets.randbits(63)

    def is_busy(self, now_s: float) -> bool:
        """Whether a peer is fetching: a new snapshot would take the one that it fetches away."""
        return now_s - self._requested_s < FETCHING_S
