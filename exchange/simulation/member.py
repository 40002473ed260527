"""One simulated node: its disk lives through crashes, all else is a life of the real code."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

from cluster.client_port import ClientPort
from cluster.core import NodeCore
from cluster.guard import SafetyViolation
from cluster.interface import AppliedBatch
from cluster.journal import FlushJob, Journal, JournalError
from cluster.runtime import FlushDone
from cluster.settings import Address, NodeSettings
from exchange.simulation.disk import PowerLoss, SimulatedDisk
from exchange.simulation.network import Fabric, SimulatedNetwork
from exchange.simulation.world import EPOCH_NS, Life, SimulatedFlusher, Violation, World
from oms.reference_data import Account, Instrument, SessionDefinition

SEGMENT_BYTES = 32 << 10
SESSIONS = ("CLIENT1", "CLIENT2", "CLIENT3")
REFERENCE_DATA = (
    tuple(
        tuple(Instrument(symbol, locate, 100, 1, 1_000_000, 1000, 1_000_000))
        for locate, symbol in enumerate(("AAPL", "MSFT"), start=1)
    ),
    tuple(tuple(Account(f"ACC{i}", "FIRM", 1_000_000, 10**15)) for i in (1, 2, 3)),
    tuple(tuple(SessionDefinition(name, f"ACC{i}")) for i, name in enumerate(SESSIONS, start=1)),
)
_DIRECTORY = Path("wal")
_NOWHERE = Address("simulated", 0)


def settings_of(node_id: int, members: tuple[int, ...]) -> NodeSettings:
    """Settings as a live node has them; the addresses are never used."""
    addresses = dict.fromkeys(members, _NOWHERE)
    return NodeSettings(
        node_id=node_id,
        raft_addresses=addresses,
        client_addresses=addresses,
        raft_bind=_NOWHERE,
        client_bind=_NOWHERE,
        http_bind=_NOWHERE,
        data_dir=_DIRECTORY,
        segment_bytes=SEGMENT_BYTES,
        gateway_grace_ms=2_000,
        reference_data=REFERENCE_DATA,
    )


class Watch:
    """Where a member reports what it does; the checks live there."""

    def applied(self, member: Member, batch: AppliedBatch) -> None:
        """A batch was applied."""

    def sent(self, member: Member, message: dict[str, Any]) -> None:
        """A raft message left."""

    def wiped(self, member: Member) -> None:
        """The member's disk is empty."""

    def flushed(self, member: Member, durable_index: int) -> None:
        """A flush is on the disk, and with it the member's log up to `durable_index`."""


class _Events:
    """The event store of a simulated node: everything in memory, and reported to the watch."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self.batches: list[AppliedBatch] = []
        self.next_event_seq = 1

    def append(self, batch: AppliedBatch) -> None:
        if batch.events:
            self.batches.append(batch)
            self.next_event_seq += len(batch.events)
        self._member.watch.applied(self._member, batch)

    def read_from(self, event_seq: int, max_events: int) -> Iterator[AppliedBatch]:
        given = 0
        for batch in self.batches:
            if batch.first_event_seq + len(batch.events) > event_seq and given < max_events:
                given += len(batch.events)
                yield batch


class _Runtime(Life):
    """cluster.runtime.Runtime of one life of one member."""

    def __init__(self, member: Member) -> None:
        super().__init__(member.world)
        self._member = member
        self.disk_thread: SimulatedFlusher | None = None
        self.end_of_wire: SimulatedNetwork | None = None

    def flusher(self, journal: Journal, done: FlushDone) -> SimulatedFlusher:
        self.disk_thread = SimulatedFlusher(
            self._member.world,
            self,
            journal,
            done,
            self._member.flush_latency_s,
            lambda: self._member.disk_hangs,
            lambda durable_index: self._member.watch.flushed(self._member, durable_index),
        )
        return self.disk_thread

    def network(
        self,
        settings: NodeSettings,
        *,
        on_message: Callable[[int, int, dict[str, Any]], None],
        on_connected: Callable[[int, int], None],
        on_disconnected: Callable[[int, int], None],
    ) -> SimulatedNetwork:
        member = self._member
        self.end_of_wire = SimulatedNetwork(
            member.fabric, settings.node_id, self, on_message, on_connected, on_disconnected
        )
        send = self.end_of_wire.send

        def watched_send(peer_id: int, message: dict[str, Any]) -> None:
            member.watch.sent(member, message | {"to": peer_id})
            send(peer_id, message)

        self.end_of_wire.send = watched_send  # type: ignore[method-assign]
        return self.end_of_wire


class Member:
    """A node that can be crashed and started again."""

    def __init__(
        self, node_id: int, members: tuple[int, ...], world: World, fabric: Fabric, watch: Watch
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
        self.core: NodeCore | None = None
        self.port: ClientPort | None = None
        self.journal: Journal | None = None
        self.runtime: _Runtime | None = None
        self.lives = 0
        self._settings = settings_of(node_id, members)

    @property
    def is_up(self) -> bool:
        """Whether the process runs."""
        return self.core is not None

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
        runtime = self.runtime = _Runtime(self)
        try:
            self.journal = Journal(_DIRECTORY, segment_bytes=SEGMENT_BYTES, disk=self.disk)
        except JournalError:
            if self.disk.fail_in is None:
                raise
            self.world.count("starts on a full disk")
            self.disk.locked = False
            self.world.after(0.2, lambda: None if self.is_up else self.start())
            return
        self.watch.flushed(self, self.journal.last_index)
        core = NodeCore(
            self._settings,
            {},
            self.journal,
            runtime,
            disk=self.disk,
            wal_dir=_DIRECTORY,
            on_fatal=self._fatal,
            wall_clock_ns=lambda: EPOCH_NS + int(self.world.now_s * 1e9) + self.clock_offset_ns,
            rng=random.Random(self.world.rng.random()),
        )
        events = _Events(self)
        self.port = ClientPort(core, events, _no_answer, _NOWHERE, runtime)
        core.events = events
        core.clients = self.port
        self.core = core
        _run(core.start())
        self.world.note(f"node {self.node_id} started, log up to {self.journal.last_index}")

    def crash(self, *, power_loss: bool) -> None:
        """SIGKILL, or the power goes: then unsynced writes may be lost, torn or reordered."""
        if self.core is None or self.journal is None or self.runtime is None:
            return
        job = None if self.runtime.disk_thread is None else self.runtime.disk_thread.running
        self._end()
        if job is not None:
            self._interrupt(job, power_loss)
        elif power_loss:
            self.disk.lose_power()
        self.disk.locked = False
        self.world.count("power losses" if power_loss else "kills")
        self.world.note(f"node {self.node_id} crashed{' (power)' if power_loss else ''}")

    def wipe(self) -> None:
        """The disk is lost, and replaced by an empty one."""
        self.crash(power_loss=False)
        self.disk = SimulatedDisk(random.Random(self.world.rng.random()))
        self.watch.wiped(self)
        self.world.count("disks lost")
        self.world.note(f"node {self.node_id} lost its disk")

    def _interrupt(self, job: FlushJob, power_loss: bool) -> None:
        """A flush was under way: any part of it may have happened."""
        assert self.journal is not None
        self.disk.failure = PowerLoss()
        self.disk.fail_in = self.world.rng.randrange(4)
        try:
            self.journal.flush_run(job)
        except PowerLoss:
            self.world.count("torn writes")
        self.disk.fail_in = None
        if power_loss:
            self.disk.lose_power()

    def _end(self) -> None:
        assert self.runtime is not None
        self.runtime.end()
        self.fabric.leave(self.node_id)
        if self.port is not None:
            for connection in self.port.connections:
                connection.abort()
        self.core = None
        self.port = None

    def _fatal(self, error: BaseException) -> None:
        """The node stopped itself. A broken disk may do that; nothing else ever may."""
        if not isinstance(error, OSError) and "write or sync failed" not in str(error):
            kind = "safety rule" if isinstance(error, SafetyViolation) else "bug"
            raise Violation(f"node {self.node_id} stopped, {kind}: {error!r}") from error
        self.world.count("disk failures")
        self._end()
        self.disk.fail_in = None
        self.disk.lose_power()


def _no_answer(sink: str, request: Any) -> Any:
    raise ValueError("a simulated node answers no queries")


def _run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Drive a coroutine that waits for nothing but the next turn of a loop."""
    while True:
        try:
            coroutine.send(None)
        except StopIteration:
            return
