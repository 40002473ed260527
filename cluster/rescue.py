"""When a majority of the disks is destroyed: the folder of another member, made from a survivor's.

A minority can neither commit nor elect, for ever, since it cannot know what the destroyed majority
acknowledged without it. Somebody has to decide that what the survivor holds is the truth now. This
module carries that out: a copy of the survivor's folder that votes as another member. Survivor and
copies together are a majority again; what only destroyed disks had is lost.

What keeps a decision of people from becoming a fault of the log:

* Votes. The member whose name the copy takes may have voted in terms that the survivor never saw.
  So the copy begins in a term far beyond all of them, and has given its vote there to itself. It
  votes in no term in which its predecessor can have voted.
* A destroyed disk that turns up again. The first entry after the rescue has that far higher term,
  so whoever holds it wins every election against the old disk, and the old node, once it meets the
  rescued ones, gives up its tail or stops (A19) if it knew that to be committed.
* Two rescues that know nothing of each other. Two histories with the same term at the same index
  would pass for one, so the term is drawn at random: they differ, and the nodes notice (A19).

What nothing here can prevent: a majority of OLD disks that is started again by itself. It has
never heard of the rescue, and is as good a cluster as ever: see cluster/RUNBOOKS.md.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cluster import voting
from cluster.codec import batch_payload
from cluster.disk import RealDisk
from cluster.journal import DEFAULT_SEGMENT_BYTES, JournalError
from cluster.rebuild import rebuild
from cluster.replay import Entry, recover
from cluster.segment import TEMPORARY_SUFFIX
from cluster.snapshot import SnapshotStore
from cluster.snapshot_install import MARKER
from cluster.storage import NodeFolders, NodeStorage
from cluster.verify import verify

TERM_STEP: Final = 1_000_000
"""A copy begins one to two such steps above the survivor's term. Each election raises the term by
one, so that the destroyed nodes cannot have come that far."""
PARTIAL_SUFFIX: Final = ".partial"
_PIECE_BYTES: Final = 8 << 20
_DISK: Final = RealDisk()


class RescueError(Exception):
    """Nothing was made: what is in the way, and what to do."""


@dataclass(frozen=True, slots=True)
class Survivor:
    """What the folder of a stopped node holds, after every check that verify and replay know.

    The log ends with entry `last_index` of `last_term`, the node had seen `term`. `event_seq` is
    the last event that the log brings, `state_hash` the hash of the state after it. Entries up to
    `committed_index`, and events up to `committed_event_seq`, were known to be committed; what
    follows was on this disk, and may never have been acknowledged. `may_vote`: the node had the
    right to vote, so its log lacks nothing that it ever promised.
    """

    folder: Path
    last_index: int
    last_term: int
    term: int
    event_seq: int
    state_hash: str
    committed_index: int
    committed_event_seq: int
    may_vote: bool


@contextmanager
def stopped(folder: Path) -> Iterator[None]:
    """Keep a node's folder from being used meanwhile. Raises RescueError when it is no such folder,
    or in use."""
    wal = NodeFolders(folder, {}).wal
    if not wal.is_dir():
        raise RescueError(f"{folder}: no folder of a node: there is no {wal.name}/ in it")
    try:
        lock = _DISK.lock(wal)
    except BlockingIOError as error:
        raise RescueError(f"{folder}: its node is running; stop it first") from error
    try:
        yield
    finally:
        lock.release()


def inspect(folder: Path) -> Survivor:
    """Check a stopped node's folder to its last byte, and say what it holds. Changes nothing.
    Raises RescueError when it must not be copied as it is."""
    folders = NodeFolders(folder, {})
    if (folders.incoming / MARKER).exists():
        raise RescueError(
            f"{folder}: a snapshot from another node has arrived in it and is not in place yet; "
            "start this node alone, stop it again, and repeat"
        )
    problems = verify([folder]).problems
    if problems:
        first = problems[0]
        raise RescueError(
            f"{first.file} at byte {first.offset}: {first.what} (`exchange verify {folder}` shows "
            "all there is). Take another survivor. If this is a snapshot, and an older one lies "
            "beside it, move the damaged one away and repeat"
        )
    try:
        return _replayed(folder, folders)
    except (JournalError, ValueError, OSError) as error:
        raise RescueError(f"{folder}: {error}") from error


def _replayed(folder: Path, folders: NodeFolders) -> Survivor:
    log = recover(_DISK, folders.wal).replay
    rebuilt = rebuild(_DISK, folders.wal, SnapshotStore(_DISK, folders.snapshots), {})
    replica = rebuilt.replica
    _, committed_index, _ = last = rebuilt.entry
    committed_event_seq = replica.next_event_seq - 1
    tail: list[Entry] = [entry for entry in log.entries if entry[1] > committed_index]
    for command, index, term in tail:
        payload = batch_payload(command)
        if payload is not None:
            replica.apply(index, term, payload)
    _, last_index, last_term = tail[-1] if tail else last
    if not last_index:
        raise RescueError(f"{folder}: its log is empty: there is nothing to rescue")
    return Survivor(
        folder,
        last_index=last_index,
        last_term=last_term,
        term=log.term,
        event_seq=replica.next_event_seq - 1,
        state_hash=replica.state_machine.state_hash(),
        committed_index=committed_index,
        committed_event_seq=committed_event_seq,
        may_vote=voting.FILE_NAME in _DISK.list_directory(folders.wal),
    )


def check_target(target: Path) -> None:
    """Raises RescueError when the folder to be made, or a half of it, exists."""
    if target.exists():
        raise RescueError(f"{target}: exists already; nothing is ever overwritten. Move it away")
    partial = _partial(target)
    if partial.exists():
        raise RescueError(f"{partial}: left by a rescue that was interrupted; remove it and repeat")


def make_member(survivor: Survivor, node_id: int, target: Path) -> int:
    """Make the folder of node `node_id` out of a survivor's, which is `stopped` and was inspected
    meanwhile; returns the term in which it begins.

    The folder appears as a whole or not at all. Raises RescueError."""
    check_target(target)
    partial = _partial(target)
    term = survivor.term + TERM_STEP + secrets.randbelow(TERM_STEP)
    try:
        try:
            _copy(survivor.folder, partial)
            _abstain(NodeFolders(partial, {}), node_id, term)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        _DISK.rename(partial, target)
        _DISK.sync_directory(target.parent)
    except (OSError, JournalError) as error:
        raise RescueError(f"{target} was not made: {error}") from error
    return term


def _partial(target: Path) -> Path:
    return target.with_name(target.name + PARTIAL_SUFFIX)


def _abstain(folders: NodeFolders, node_id: int, term: int) -> None:
    """Open it all as a node does when it starts, give up the vote in every term up to `term`, and
    mark the folder as that of a voter."""
    storage = NodeStorage(_DISK, folders, node_id=node_id, segment_bytes=DEFAULT_SEGMENT_BYTES)
    try:
        storage.journal.setCurrentTerm(term, str(node_id))
        storage.journal.flush_sync()
    finally:
        storage.close()
    voting.write_marker(_DISK, folders.wal, node_id)


def _copy(source: Path, target: Path) -> None:
    """Copy a folder durably, but for what is the survivor's own or half-done."""
    _DISK.make_directory(target)
    for path in sorted(source.iterdir()):
        if path.is_dir():
            if path.name != NodeFolders(source, {}).incoming.name:
                _copy(path, target / path.name)
        elif path.name != voting.FILE_NAME and path.suffix != TEMPORARY_SUFFIX:
            _copy_file(path, target / path.name)
    _DISK.sync_directory(target)


def _copy_file(source: Path, target: Path) -> None:
    with source.open("rb") as reader:
        file = _DISK.create(target)
        try:
            size = 0
            while piece := reader.read(_PIECE_BYTES):
                file.write_at(size, piece)
                size += len(piece)
            file.sync_data()
        finally:
            file.close()
