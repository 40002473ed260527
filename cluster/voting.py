"""Whether this node may vote: not before it knows again what it may once have promised.

A node that lost its disk has forgotten its votes and what it acknowledged. Story: (1) leader N and
follower W have entry 5 on disk, it is committed; (2) W loses its disk and starts empty; (3) N is
cut off; (4) the third node, which never had 5, asks for W's vote and gets it: 5 is gone. Or, with
votes: W votes for X, forgets it, and votes for Y in the same term.

So a node without the marker of a voter in its folder neither votes nor stands. It asks every other
member where it is, and becomes a voter when its own disk has everything that any of them had and it
has given up its vote in every term that any of them had seen. The marker is written then, once. A
new cluster needs nothing special: its members meet, none has anything, and all become voters. Until
all the others have answered it waits: the price of a lost disk, and of a first start.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from crc32c import crc32c

from cluster.disk import Disk
from cluster.segment import JournalError

FILE_NAME: Final = "voter"
_MAGIC: Final = b"EXCHVOTE"
_VERSION: Final = 1
_MARKER = struct.Struct("<8sIQ")
_CRC = struct.Struct("<I")

Position = tuple[int, int]
"""(term, index) of a log's last entry; the greater one is the more complete log."""


class VotingRight:
    """What a node without a vote has heard. Pure."""

    def __init__(self, others: tuple[int, ...], *, granted: bool) -> None:
        self.granted = granted
        self._heard: dict[int, tuple[int, Position]] = {}
        self._others = others

    @property
    def missing(self) -> list[int]:
        """Members that have not said yet where they are; none once the right is granted."""
        return [] if self.granted else [peer for peer in self._others if peer not in self._heard]

    def heard(self, peer_id: int, term: int, last: Position) -> None:
        """A member's term, and the end of its log. The first answer counts: what it got after that
        it cannot have got with our forgotten help."""
        if not self.granted:
            self._heard.setdefault(peer_id, (term, last))

    def is_due(self, durable_last: Position) -> bool:
        """True when our disk has all that any of the others had."""
        if self.granted or self.missing:
            return False
        return all(durable_last >= last for _, last in self._heard.values())

    @property
    def highest_term(self) -> int:
        """The highest term that any of the others had seen."""
        return max(term for term, _ in self._heard.values())


def read_marker(disk: Disk, directory: Path, node_id: int) -> bool:
    """Whether the folder is that of a voter. Raises JournalError if it is another node's, damaged,
    or of a newer version."""
    path = directory / FILE_NAME
    try:
        if FILE_NAME not in disk.list_directory(directory):
            return False
        data = disk.read(path)
    except OSError as error:
        raise JournalError(f"{path}: cannot be read: {error}") from error
    body = data[: _MARKER.size]
    if len(data) != _MARKER.size + _CRC.size or _CRC.unpack(data[_MARKER.size :])[0] != crc32c(
        body
    ):
        raise JournalError(
            f"{path}: damaged. The other nodes hold the data: while all of them are up, move the "
            "folder away and start this node with an empty one"
        )
    magic, version, owner = _MARKER.unpack(body)
    if magic != _MAGIC or version > _VERSION:
        raise JournalError(f"{path}: format {magic!r} {version}; this program knows {_VERSION}")
    if owner != node_id:
        raise JournalError(
            f"{directory}: this is the folder of node {owner}, not of node {node_id}; "
            "give each node its own data folder"
        )
    return True


def write_marker(disk: Disk, directory: Path, node_id: int) -> None:
    """Note durably that the folder is that of a voter. Raises JournalError."""
    path = directory / FILE_NAME
    temporary = directory / f"{FILE_NAME}.tmp"
    body = _MARKER.pack(_MAGIC, _VERSION, node_id)
    try:
        file = disk.create(temporary)
        file.write_at(0, body + _CRC.pack(crc32c(body)))
        file.sync_data()
        file.close()
        disk.rename(temporary, path)
        disk.sync_directory(directory)
    except OSError as error:
        raise JournalError(f"{path}: write or sync failed ({error})") from error
