"""What a node finds on its disk when it starts: snapshot, journal, and the state they amount to.

Opening them in the right order, and refusing what does not fit together, is all that happens here;
a node that received a snapshot starts through the same door as one that was restarted.
"""

from __future__ import annotations

import logging
from pathlib import Path

from cluster.day_files import MAX_BYTES
from cluster.disk import Disk
from cluster.event_store import EventStore
from cluster.guard import SafetyViolation, log_fits_snapshot
from cluster.journal import Journal
from cluster.replay import rebuild_advice
from cluster.replica import Replica
from cluster.segment import JournalError
from cluster.snapshot import SnapshotStore, restore
from cluster.snapshot_install import install_received
from cluster.voting import read_marker

EVENTS = "events"

logger = logging.getLogger(__name__)


class NodeFolders:
    """The folders of a node: wal/, snapshots/, incoming/, events/ below its data folder, and
    wherever sinks keep day files, by the sink's name."""

    def __init__(self, data_dir: Path, sinks: dict[str, Path]) -> None:
        self.wal = data_dir / "wal"
        self.snapshots = data_dir / "snapshots"
        self.incoming = data_dir / "incoming"
        self.events = data_dir / EVENTS
        self.day: dict[str, Path] = {EVENTS: self.events, **sinks}
        """Folders of day files by name; they travel with a snapshot."""


class NodeStorage:
    """Everything opened. `base` is the header of the snapshot that the state comes from, None for
    an empty start; `replica` is the state after it, and the journal goes on from there."""

    def __init__(
        self,
        disk: Disk,
        folders: NodeFolders,
        *,
        segment_bytes: int,
        day_files_bytes: int = MAX_BYTES,
        node_id: int | None = None,
    ) -> None:
        """`day_files_bytes`: how much is kept of the day's events. `node_id`: refuse the folder of
        another node. Raises JournalError (SnapshotError) with a sentence that says what to do,
        OSError."""
        self.disk = disk
        self.folders = folders
        self.snapshots = SnapshotStore(disk, folders.snapshots)
        self.journal = Journal(folders.wal, segment_bytes=segment_bytes, disk=disk)
        try:
            if node_id is not None:
                read_marker(disk, folders.wal, node_id)  # before anything changes
            disk.make_directory(folders.snapshots)
            self.snapshots.remove_unfinished()
            self.installed = install_received(disk, folders.incoming, self.snapshots, folders.day)
            # What is there by name only might be gone after a power loss, when the journal that
            # begins anew on it is not.
            disk.sync_directory(folders.snapshots)
            snapshot = self.snapshots.newest()
            self.base = None if snapshot is None else snapshot.header
            self.replica = Replica() if snapshot is None else restore(snapshot)
            self._join_journal()
            self.events = EventStore(
                folders.events,
                resume_at=self.replica.next_event_seq,
                disk=disk,
                max_bytes=day_files_bytes,
            )
        except BaseException:
            self.journal._destroy()
            raise

    @property
    def base_index(self) -> int:
        """Log entry after which the state is; 0 for an empty start."""
        return 0 if self.base is None else self.base.log_index

    def _join_journal(self) -> None:
        """A9 - A11: snapshot and journal must be one story."""
        journal, base = self.journal, self.base
        if base is None:
            if journal.first_index > 1:
                raise JournalError(
                    f"{self.folders.wal}: begins with entry {journal.first_index}, and "
                    f"{self.folders.snapshots} holds no snapshot. "
                    f"{rebuild_advice(self.folders.wal.parent)}"
                )
            return
        try:
            fits = log_fits_snapshot(
                journal,
                index=base.log_index,
                term=base.term,
                commit_index=journal.recovered_commit_index,
            )
        except SafetyViolation as violation:
            advice = rebuild_advice(self.folders.wal.parent)
            raise JournalError(f"{self.folders.wal}: {violation}. {advice}") from violation
        if not fits:
            logger.info("the journal begins anew with entry %d", base.log_index)
            journal.rebase(base.entry, base.log_index, base.term)

    def close(self) -> None:
        """Close journal and events."""
        self.journal._destroy()
        self.events.close()
