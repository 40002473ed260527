"""Logs, snapshots, a disk and a clock for the tests of what surrounds them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from test_replica_snapshot import RandomLog

from cluster.codec import pack
from cluster.journal import Entry, FlushJob, Journal
from cluster.replica import Replica
from cluster.runtime import FlushDone
from cluster.snapshot import SnapshotHeader
from exchange.simulation.disk import SimulatedDisk
from exchange.simulation.world import Life, World

NODE = Path("node")
SNAPSHOTS = NODE / "snapshots"


class MemoryDisk(SimulatedDisk):
    """A simulated disk on which a missing file is missing in the way of the operating system, and
    a power loss leaves a rename as a whole or not at all (cluster/disk.py: "atomically")."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(Random(seed))
        self._renames: list[list[tuple[str, Any]]] = []

    def rename(self, source: Path, target: Path) -> None:
        self._must_exist(source)
        before = len(self.unsynced_names)
        try:
            super().rename(source, target)
        finally:
            self._renames.append(self.unsynced_names[before:])

    def lose_power(self) -> None:
        """Both names of a rename have the same fate; a sync of one folder has kept both."""
        fates: dict[tuple[str, Any], bool] = {}
        for changes in self._renames:
            one_is_synced = any(change not in self.unsynced_names for change in changes)
            fates |= dict.fromkeys(changes, one_is_synced or self.random.random() < 0.5)
        for change in self.unsynced_names:
            if fates.get(change, self.random.random() < 0.5):
                name, file = change
                if file is None:
                    self.synced_names.pop(name, None)
                else:
                    self.synced_names[name] = file
        self.unsynced_names.clear()
        self._renames.clear()
        super().lose_power()

    def read(self, path: Path) -> bytes:
        self._must_exist(path)
        return super().read(path)

    def file_size(self, path: Path) -> int:
        self._must_exist(path)
        return super().file_size(path)

    def open(self, path: Path) -> Any:
        self._must_exist(path)
        return super().open(path)

    def remove(self, path: Path) -> None:
        self._must_exist(path)
        super().remove(path)

    def _must_exist(self, path: Path) -> None:
        if path.as_posix() not in self.names:
            raise FileNotFoundError(path.as_posix())

    def put(self, path: Path, content: bytes) -> None:
        """Make a file that is on the disk for good."""
        file = self.create(path)
        file.write_at(0, content)
        file.sync_data()
        self.sync_directory(path.parent)

    def again(self, seed: int) -> MemoryDisk:
        """A disk with the same files, all synced, that loses other things."""
        other = MemoryDisk(seed)
        for name in self.names:
            other.put(Path(name), self.content(name))
        return other

    def files(self, folder: Path) -> dict[str, bytes]:
        """Content of all files of a folder by name."""
        return {name: self.read(folder / name) for name in self.list_directory(folder)}


def header_of(index: int, *, term: int = 1, last_event: int | None = None) -> SnapshotHeader:
    """A header; unless told otherwise every entry has brought one event."""
    next_event_seq = (index if last_event is None else last_event) + 1
    return SnapshotHeader(index, term, b"\0entry %d" % index, next_event_seq, 5 * index, "hash", {})


class Story:
    """A log, and what a node that was never stopped makes of it: `live[i]` holds all parts of the
    state after entry i, `hashes[i]` its state hash, `next_event_seqs[i]` its next event number.
    `entries[i]` is entry i. Entry 1 is the empty one that a leader begins with."""

    def __init__(self, seed: int, count: int) -> None:
        replica = Replica()
        payloads = [None, *RandomLog(seed).payloads(count)]
        self.entries: list[Entry] = [(b"", 0, 0)]
        self.live: list[list[bytes]] = []
        self.hashes: list[str] = []
        self.next_event_seqs: list[int] = []
        self._note(replica)
        for index, payload in enumerate(payloads, start=1):
            self.entries.append((b"\1" if payload is None else b"\0" + payload, index, 1))
            if payload is not None:
                replica.apply(index, 1, payload)
            self._note(replica)

    def _note(self, replica: Replica) -> None:
        self.live.append(everything(replica))
        self.hashes.append(replica.state_machine.state_hash())
        self.next_event_seqs.append(replica.next_event_seq)

    def write(self, journal: Journal, first: int, last: int) -> None:
        """Add entries to a journal, each with a flush of its own."""
        for index in range(first, last + 1):
            journal.add(*self.entries[index])
            journal.flush_sync()


def everything(replica: Replica) -> list[bytes]:
    """All that a replica consists of."""
    return [pack(part) for part in replica.snapshot_parts()]


class HeldFlusher:
    """A disk thread that writes when a test says so."""

    def __init__(self, journal: Journal, done: FlushDone) -> None:
        self._journal = journal
        self._done = done
        self.job: FlushJob | None = None
        self.closed = False

    def submit(self, job: FlushJob) -> None:
        assert self.job is None, "one flush at a time"
        self.job = job

    def finish(self, error: BaseException | None = None) -> None:
        """The flush under way returns, or fails."""
        job, self.job = self.job, None
        assert job is not None, "no flush is under way"
        if error is None:
            self._journal.flush_run(job)
        self._done(job, error)

    def close(self) -> None:
        self.closed = True


class ManualRuntime(Life):
    """Time stands still until a test moves it; work beside the loop waits until a test runs it."""

    def __init__(self) -> None:
        self.world = World(0)
        super().__init__(self.world)
        self.jobs: list[tuple[Callable[[], Any], Callable[[Any, BaseException | None], None]]] = []
        self.flushers: list[HeldFlusher] = []

    def advance(self, seconds: float) -> None:
        """Let everything happen that is due within this time."""
        self.world.run_until(self.world.now_s + seconds)

    def background(
        self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]
    ) -> None:
        self.jobs.append((work, done))

    def run_job(self) -> None:
        """The oldest work beside the loop, from its beginning to its end."""
        work, done = self.jobs.pop(0)
        try:
            result = work()
        except Exception as error:
            done(None, error)
        else:
            done(result, None)

    def flusher(self, journal: Journal, done: FlushDone) -> HeldFlusher:
        self.flushers.append(HeldFlusher(journal, done))
        return self.flushers[-1]
