"""One simulated node: its disk lives through crashes, all else is a life of the real code."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from typing import Any

from cluster.client_port import ClientPort
from cluster.core import NodeCore
from cluster.event_store import EventStore, EventStoreError
from cluster.guard import SafetyViolation
from cluster.interface import AppliedBatch
from cluster.journal import FlushJob, Journal, JournalError
from cluster.segment import MARK_BYTES, SUFFIX
from cluster.snapshot import SnapshotStore, snapshot_name
from cluster.snapshot_maker import SnapshotMade, make_snapshot
from cluster.storage import NodeStorage
from cluster.voting import FILE_NAME
from exchange.simulation.disk import PowerLoss, SimulatedDisk
from exchange.simulation.member_runtime import MemberRuntime
from exchange.simulation.member_settings import FOLDERS, NOWHERE, MemberOptions, settings_of
from exchange.simulation.network import Fabric
from exchange.simulation.world import EPOCH_NS, Violation, World


class Watch:
    """Where a member reports what it does; the checks live there."""

    def applied(self, member: Member, batch: AppliedBatch) -> None:
        """A batch was applied."""

    def committed(self, member: Member, index: int) -> None:
        """The member's commit index, again and again."""

    def sent(self, member: Member, peer_id: int, message: dict[str, Any]) -> None:
        """A raft message left."""

    def flushed(self, member: Member, job: FlushJob) -> None:
        """A flush is on the disk."""

    def crashed(self, member: Member, unfinished: FlushJob | None) -> None:
        """The process ended; of a flush that was under way any part may be on the disk."""

    def wiped(self, member: Member) -> None:
        """The member's disk is empty."""

    def started(self, member: Member, storage: NodeStorage, *, interrupted: bool) -> None:
        """The member has read its disk. `interrupted`: not for the first time since it ended."""


class Member:
    """A node that can be crashed and started again."""

    def __init__(
        self,
        node_id: int,
        members: tuple[int, ...],
        world: World,
        fabric: Fabric,
        watch: Watch,
        options: MemberOptions,
    ) -> None:
        self.node_id = node_id
        self.world = world
        self.fabric = fabric
        self.watch = watch
        self.disk = SimulatedDisk(random.Random(world.rng.random()))
        self.slow_disk_until_s = 0.0
        self.slow_for_good_s = 0.0
        self.disk_hangs = False
        self.clock_offset_ns = 0
        self.long_entries: dict[int, float] = {}
        """For how many seconds it is going to be busy with an entry, by log index; once each."""
        self.core: NodeCore | None = None
        self.port: ClientPort | None = None
        self.journal: Journal | None = None
        self.runtime: MemberRuntime | None = None
        self.lives = 0
        self.is_starting = False
        """Applying what it knows to be committed, before it meets the others."""
        self.flipped = ""
        """A file in which a bit flipped while the node was down."""
        self.settings = settings_of(node_id, members, options)
        self._was_interrupted = False

    @property
    def is_up(self) -> bool:
        """Whether the process runs."""
        return self.core is not None

    @property
    def is_voter(self) -> bool:
        """Whether it may vote, or may once it is up again (cluster/voting.py)."""
        if self.core is not None:
            return self.core.raft.may_vote
        return (FOLDERS.wal / FILE_NAME).as_posix() in self.disk.names

    @property
    def is_leader(self) -> bool:
        """Whether it leads and takes orders."""
        return self.core is not None and self.core.is_ready

    def flush_latency_s(self) -> float:
        """How long the next flush takes."""
        rng = self.world.rng
        if self.world.now_s < self.slow_disk_until_s:
            return rng.uniform(0.02, 0.5)
        if self.slow_for_good_s:
            return rng.uniform(0.5, 1.0) * self.slow_for_good_s
        return rng.uniform(0.0001, 0.0006)

    # --- life and death ---

    def start(self) -> None:
        """Start the process on what its disk holds."""
        assert self.core is None
        self.lives += 1
        runtime = self.runtime = MemberRuntime(self)
        try:
            self._open(runtime)
        except PowerLoss:
            self.power_lost()
        except (JournalError, EventStoreError, OSError) as error:
            if self.flipped:
                self._damage_noticed(error)
                return
            if self.disk.fail_in is None:
                raise
            self.world.note("node %d cannot start: %s", self.node_id, error)
            self.world.count("starts on a bad disk")
            self._end()
            self.disk.locked = False
            self.start_after(0.2)

    def _damage_noticed(self, error: Exception) -> None:
        """A file with a flipped bit is named, and the operator does what the text says."""
        if self.flipped not in str(error):
            raise Violation(f"node {self.node_id}: a bit flipped in {self.flipped}: {error}")
        self.world.count("flipped bits noticed")
        self._end()
        self.wipe()
        self.start_after(0.01)

    def start_after(self, delay_s: float) -> None:
        """Start later, unless somebody else does before."""
        self.world.after(delay_s, lambda: None if self.is_up else self.start())

    def _open(self, runtime: MemberRuntime) -> None:
        """As cluster/node.py does it."""
        was_interrupted, self._was_interrupted = self._was_interrupted, True
        storage = NodeStorage(
            self.disk,
            FOLDERS,
            node_id=self.node_id,
            segment_bytes=self.settings.segment_bytes,
        )
        self._was_interrupted = False
        if self.flipped:
            raise Violation(
                f"node {self.node_id} does not see a bit that flipped in {self.flipped}"
            )
        self.journal = storage.journal
        if storage.installed is not None:
            self.world.count("snapshots installed")
        self.watch.started(self, storage, interrupted=was_interrupted)
        self._watch_commits(self.journal)
        self._watch_events(storage.events)
        core = NodeCore(
            self.settings,
            {},
            storage,
            runtime,
            make_snapshot=self._make_snapshot,
            on_snapshot_received=self._snapshot_received,
            on_fatal=self.fatal,
            wall_clock_ns=lambda: EPOCH_NS + int(self.world.time() * 1e9) + self.clock_offset_ns,
            rng=random.Random(self.world.rng.random()),
        )
        self.port = ClientPort(core, storage.events, _no_answer, NOWHERE, runtime)
        core.clients = self.port
        self.core = core
        self.is_starting = True
        _run(core.start())
        self.is_starting = False
        self.world.note(
            "node %d started on the snapshot after %d, log %d to %d",
            self.node_id,
            storage.base_index,
            self.journal.first_index,
            self.journal.last_index,
        )

    def _watch_commits(self, journal: Journal) -> None:
        note = journal.setRaftCommitIndex

        def watched(raftCommitIndex: int) -> None:
            note(raftCommitIndex)
            self.watch.committed(self, raftCommitIndex)

        journal.setRaftCommitIndex = watched  # type: ignore[method-assign]

    def _watch_events(self, events: EventStore) -> None:
        append = events.append

        def watched(batch: AppliedBatch) -> None:
            append(batch)
            self.watch.applied(self, batch)
            seconds = self.long_entries.pop(batch.log_index, 0.0)
            if seconds and self.runtime is not None and not self.is_starting:
                self.world.note("node %d is busy for %.3f s", self.node_id, seconds)
                self.runtime.be_busy(seconds)

        events.append = watched  # type: ignore[method-assign]

    def _make_snapshot(self, index: int) -> SnapshotMade:
        made = make_snapshot(self.disk, FOLDERS.wal, FOLDERS.snapshots, index, {}, [FOLDERS.events])
        self.world.count("snapshots taken")
        self.world.note("node %d took the snapshot after %d", self.node_id, index)
        return made

    def _snapshot_received(self, index: int) -> None:
        """Close and start again, as the process around a live node does."""
        self.world.note("node %d received the snapshot after %d", self.node_id, index)
        self._end()
        self.disk.locked = False
        self.start_after(0.001)

    def crash(self, *, power_loss: bool) -> None:
        """SIGKILL, or the power goes: then unsynced writes may be lost, torn or reordered."""
        if self.core is None or self.journal is None or self.runtime is None:
            return
        job = None if self.runtime.disk_thread is None else self.runtime.disk_thread.running
        jobs = self.runtime.jobs
        self._end()
        if job is not None:
            journal = self.journal
            if self._interrupt(lambda: journal.flush_run(job), calls=4):
                self.world.count("torn writes")
        for each in jobs:
            if self._interrupt(each.work, calls=24):
                self.world.count("snapshots interrupted")
        if power_loss:
            self.disk.lose_power()
        self.disk.locked = False
        self.world.count("power losses" if power_loss else "kills")
        self.world.note("node %d crashed%s", self.node_id, " (power)" if power_loss else "")

    def wipe(self) -> None:
        """The disk is lost, and replaced by an empty one."""
        self.crash(power_loss=False)
        self.watch.wiped(self)
        self.flipped = ""
        self.disk = SimulatedDisk(random.Random(self.world.rng.random()))
        self.world.count("disks lost")
        self.world.note("node %d lost its disk", self.node_id)

    def flip_bit(self) -> None:
        """One bit of the journal is another one from now on: in front of the sync mark that the
        last flush has taken along, since whatever is behind that cannot be told from a torn end
        (cluster/segment.py). Only while the node is down."""
        assert not self.is_up
        vouched_for = {
            name: self.disk.filled_before(name) - MARK_BYTES
            for name in sorted(self.disk.names)
            if name.endswith(SUFFIX) and self.disk.filled_before(name) > MARK_BYTES
        }
        if vouched_for:
            self.flipped = name = self.world.rng.choice(list(vouched_for))
            self.disk.flip_bit(name, vouched_for[name])
            self.world.count("flipped bits")
            self.world.note("node %d: a bit flipped in %s", self.node_id, name)

    def damage_snapshot(self) -> None:
        """One bit of the newer of two snapshots is another one from now on."""
        indexes = SnapshotStore(self.disk, FOLDERS.snapshots).indexes()
        if len(indexes) < 2:
            return
        name = (FOLDERS.snapshots / snapshot_name(indexes[-1])).as_posix()
        content = bytearray(self.disk.content(name))
        content[self.world.rng.randrange(len(content))] ^= 1 << self.world.rng.randrange(8)
        self.disk.set_content(name, bytes(content))
        self.world.count("snapshots damaged")
        self.world.note("node %d: a bit flipped in %s", self.node_id, name)

    def _interrupt(self, work: Callable[[], object], calls: int) -> bool:
        """Something with the disk was under way: any part of it may have happened. Whether it was
        cut short."""
        self.disk.failure = PowerLoss()
        self.disk.fail_in = self.world.rng.randrange(calls)
        try:
            work()
        except PowerLoss:
            return True
        finally:
            self.disk.heal()
        return False

    def take_snapshot(self) -> None:
        """As an operator asks for it; nothing happens when one is under way or nothing is new."""
        if self.core is None:
            return
        try:
            self.core.snapshots.take()
        except ValueError:
            return
        except Exception as error:
            self.fatal(error)

    def _end(self) -> None:
        assert self.runtime is not None
        if self.runtime.disk_thread is not None:
            self.watch.crashed(self, self.runtime.disk_thread.unfinished)
        self.runtime.end()
        self.fabric.leave(self.node_id)
        if self.port is not None:
            for connection in self.port.connections:
                connection.abort()
        self.core = None
        self.port = None

    def flushed(self, job: FlushJob) -> None:
        """A flush is on the disk."""
        self.watch.flushed(self, job)

    def sent(self, peer_id: int, message: dict[str, Any]) -> None:
        """A raft message left."""
        self.watch.sent(self, peer_id, message)

    def fatal(self, error: BaseException) -> None:
        """The node stopped itself. A broken disk may do that; nothing else ever may."""
        if isinstance(error, PowerLoss):
            self.power_lost()
            return
        if not isinstance(error, OSError) and not isinstance(error.__cause__, OSError):
            kind = "safety rule" if isinstance(error, SafetyViolation) else "bug"
            raise Violation(f"node {self.node_id} stopped, {kind}: {error!r}") from error
        self.world.note("node %d stopped: %s", self.node_id, error)
        self.world.count("disk failures")
        self._end()
        self.disk.lose_power()
        # Whoever operates it starts it again, also when a node that was paused for long finds out
        # only after everything else was healed.
        self.start_after(0.5)

    def power_lost(self) -> None:
        """In the middle of a call to the disk."""
        self.world.note("node %d lost its power in a call to the disk", self.node_id)
        self.world.count("power losses in a call")
        self._end()
        self.disk.lose_power()
        self.start_after(0.05)


def _no_answer(sink: str, request: Any) -> Any:
    raise ValueError("a simulated node answers no queries")


def _run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Drive a coroutine that waits for nothing but the next turn of a loop."""
    while True:
        try:
            coroutine.send(None)
        except StopIteration:
            return
