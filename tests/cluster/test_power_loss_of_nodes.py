"""The power of a whole node goes at any moment: snapshots, day files, votes and journal, of three
real nodes through an eventful day. See test_power_loss.py."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from local_cluster import free_offset, until
from node_process import NODES, node_settings
from power_loss_lab import (
    Broken,
    HastyDisk,
    Promises,
    RecordingDisk,
    check_every_moment,
    content_on_disk,
    let_journals_take_notes,
)

from cluster import core as core_module
from cluster.codec import ClientFrame, batch_payload, pack_commands
from cluster.core import NodeCore
from cluster.interface import AppliedBatch
from cluster.runtime import LiveRuntime
from cluster.snapshot_maker import SnapshotMade, make_snapshot
from cluster.storage import NodeFolders, NodeStorage
from cluster.voting import read_marker
from oms.commands import CommandKind, EnterOrder

SEGMENT_BYTES = 4096


class Nobody:
    """The clients of a node that has none."""

    clients: list[str] = []

    def publish(self, batch: AppliedBatch, client_ids: list[str]) -> None: ...
    def cut(self, client_id: str) -> None: ...
    def became_ready(self) -> None: ...
    def lost_leadership(self) -> None: ...
    def resume_reading(self) -> None: ...


class LiveNode:
    """A node without its sockets for clients, in this process, on a RecordingDisk."""

    def __init__(self, cluster: LiveCluster, node_id: int, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.disk = RecordingDisk()
        self.received = 0
        self.core: NodeCore | None = None
        self._settings = dataclasses.replace(
            node_settings(node_id, cluster.offset, folder.parent), segment_bytes=SEGMENT_BYTES
        )

    async def start(self) -> None:
        """Start on what is there, as cluster/node.py does it."""
        storage = NodeStorage(self.disk, NodeFolders(self.folder, {}), segment_bytes=SEGMENT_BYTES)
        self._remember_events(storage)
        self.core = NodeCore(
            self._settings,
            {},
            storage,
            LiveRuntime(),
            make_snapshot=self._make_snapshot,
            on_snapshot_received=self._snapshot_received,
            on_fatal=self.cluster.failures.append,
        )
        self.core.clients = Nobody()
        await self.core.start()

    async def stop(self) -> None:
        core, self.core = self.core, None
        if core is not None:
            await core.close()
            core.events.close()

    @property
    def is_ready(self) -> bool:
        return self.core is not None and self.core.is_ready

    async def snapshot(self) -> None:
        """Take one, and wait until the journal is trimmed."""
        assert self.core is not None
        keeper, raft = self.core.snapshots, self.core.raft
        await until(
            lambda: min(raft.applied_index, raft.journal.durable_index) > keeper.last_index,
            "there is something to take a snapshot of",
        )
        index = keeper.take()
        await until(lambda: keeper.last_index == index, "the snapshot is made")

    def _make_snapshot(self, index: int) -> SnapshotMade:
        folder = self.folder
        made = make_snapshot(
            self.disk, folder / "wal", folder / "snapshots", index, {}, [folder / "events"]
        )
        self.disk.note("snapshot", index)
        return made

    def _snapshot_received(self, index: int) -> None:
        self.received = index
        self.disk.note("snapshot", index)
        self.cluster.tasks.append(asyncio.ensure_future(self._restart()))

    async def _restart(self) -> None:
        await self.stop()
        await self.start()

    def _remember_events(self, storage: NodeStorage) -> None:
        append = storage.events.append

        def remembered(batch: AppliedBatch) -> None:
            append(batch)
            if batch.events:
                plain = batch._replace(events=[tuple(event) for event in batch.events])
                known = self.cluster.events.setdefault(batch.first_event_seq, plain)
                assert known == plain

        storage.events.append = remembered  # type: ignore[method-assign]


class LiveCluster:
    """Three nodes of real code on real connections and disks, but for the processes."""

    def __init__(self, folder: Path) -> None:
        self.offset = free_offset()
        self.failures: list[BaseException] = []
        self.tasks: list[asyncio.Future[None]] = []
        self.events: dict[int, AppliedBatch] = {}
        self.nodes = {n: LiveNode(self, n, folder / f"node-{n}") for n in NODES}
        self._orders = 0

    async def leader(self) -> LiveNode:
        await until(lambda: any(n.is_ready for n in self.nodes.values()), "somebody leads")
        return next(node for node in self.nodes.values() if node.is_ready)

    async def trade(self, batches: int) -> None:
        """So many batches, each applied before the next; whoever leads."""
        for _ in range(batches):
            wanted = len(self.events) + 1
            while len(self.events) < wanted:
                await self._submit(wanted)

    async def _submit(self, wanted: int) -> None:
        """An order; it may be lost if the leader is."""
        leader = await self.leader()
        assert leader.core is not None
        leader.core.submit(self.order())
        await until(
            lambda: len(self.events) >= wanted or not leader.is_ready, "the order is applied"
        )

    def order(self) -> ClientFrame:
        self._orders += 1
        number, side = self._orders, 1 + self._orders % 2
        order = EnterOrder(
            CommandKind.ENTER_ORDER, "CLIENT1", number, "", f"o{number}", "AAPL",
            side, 2, 0, 10, 1_000_000 + number % 3 * 100,
        )  # fmt: skip
        return ClientFrame("", 0, 0, pack_commands([order]))

    async def level(self) -> None:
        """Wait until all that run have applied the same."""

        def next_event_seqs() -> set[int]:
            running = [node.core for node in self.nodes.values() if node.core is not None]
            return {core.replica.next_event_seq for core in running}

        await until(lambda: len(next_event_seqs()) == 1, "all are level")

    async def close(self) -> None:
        await asyncio.gather(*self.tasks)
        for node in self.nodes.values():
            await node.stop()
        assert not self.failures, self.failures


async def an_eventful_day(cluster: LiveCluster) -> None:
    """Orders, snapshots, a leader whose last entry nobody gets, one that is left far behind."""
    nodes = cluster.nodes
    for node in nodes.values():
        await node.start()
    await cluster.trade(15)
    await cluster.level()
    for node in nodes.values():
        await node.snapshot()
    await cluster.trade(10)
    old = await cluster.leader()
    assert old.core is not None
    journal, network = old.core.raft.journal, old.core.raft._network
    network.send = lambda peer_id, message: None  # type: ignore[method-assign]
    last_index = journal.last_index
    old.core.submit(cluster.order())
    await until(lambda: journal.durable_index > last_index, "an entry that nobody else has")
    its_own = journal.entry(journal.last_index)
    await old.stop()
    await cluster.trade(10)
    await old.start()
    await cluster.level()
    assert old.core.raft.journal.entry(its_own[1]) != its_own, "it has to give that entry up"
    await old.stop()
    for _ in range(2):
        await cluster.trade(10)
        await cluster.level()
        for node in nodes.values():
            if node is not old:
                await node.snapshot()
    await old.start()
    await until(lambda: old.received > 0 and old.core is not None, "it got a snapshot")
    await cluster.trade(5)
    await asyncio.gather(*cluster.tasks)
    await cluster.level()
    await old.snapshot()


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A recorded day of three nodes."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        let_journals_take_notes(monkeypatch)
        _let_markers_be_noted(monkeypatch)

        async def run() -> LiveCluster:
            cluster = LiveCluster(tmp_path_factory.mktemp("day"))
            try:
                await an_eventful_day(cluster)
            finally:
                await cluster.close()
            return cluster

        return asyncio.run(asyncio.wait_for(run(), 60))


def _let_markers_be_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    write = core_module.write_marker

    def noted(disk: Any, *arguments: Any) -> None:
        write(disk, *arguments)
        disk.note("voter")

    monkeypatch.setattr(core_module, "write_marker", noted)


class NodePromises:
    """What a node has promised up to one moment."""

    def __init__(self, node: LiveNode, node_id: int) -> None:
        self._node_id = node_id
        self._events = node.cluster.events
        self._journal = Promises()
        self._snapshot = 0
        self._is_voter = False

    def take(self, subject: str, *what: Any) -> bool:
        """The next note; returns whether more is promised than before."""
        if subject == "journal":
            return self._journal.take(*what)
        if subject == "snapshot":
            (self._snapshot,) = what
        else:
            self._is_voter = True
        return True

    def check(self, folder: Path) -> None:
        """Start from a folder, as far as the first meeting with others. Raises Broken,
        JournalError."""
        disk = HastyDisk()
        wal = folder / "wal"
        wal.mkdir(parents=True, exist_ok=True)
        self._journal.check(content_on_disk(disk, wal))
        if self._is_voter and not read_marker(disk, wal, self._node_id):
            raise Broken("the marker of a voter is gone")
        storage = NodeStorage(disk, NodeFolders(folder, {}), segment_bytes=SEGMENT_BYTES)
        try:
            self._check_state(storage)
        finally:
            storage.close()

    def _check_state(self, storage: NodeStorage) -> None:
        """The snapshot counts, every event before it is there, and the journal goes on from it."""
        if storage.base_index < self._snapshot:
            raise Broken(f"starts after entry {storage.base_index}, not {self._snapshot}")
        replica, journal, events = storage.replica, storage.journal, storage.events
        batches = list(events.read_from(events.first_event_seq))
        known = [batch for seq, batch in sorted(self._events.items())]
        if batches != [b for b in known if b.first_event_seq < replica.next_event_seq]:
            raise Broken(f"of events before {replica.next_event_seq}, {len(batches)} batches")
        for index in range(storage.base_index + 1, journal.recovered_commit_index + 1):
            command, _, term = journal.entry(index)
            payload = batch_payload(command)
            if payload is not None:
                batch = replica.apply(index, term, payload)
                if batch.events and batch != self._events.get(batch.first_event_seq):
                    raise Broken(f"entry {index} is another one than it was")


@pytest.mark.parametrize("node_id", NODES)
def test_a_node_starts_again_with_all_it_promised_whenever_the_power_goes(
    day: LiveCluster, node_id: int, tmp_path: Path
) -> None:
    node = day.nodes[node_id]
    promises = NodePromises(node, node_id)
    opened = check_every_moment(
        node.disk, node.folder, tmp_path / "work", promises.take, promises.check
    )
    assert opened > 300, "the day is too quiet to prove anything"


@pytest.mark.parametrize(
    "left_out",
    [
        ("append", "sync_data"),
        ("_begin_segment", "sync_data"),
        ("_begin_segment", "sync_directory"),
        ("write_marker", "sync_data"),
        ("write_marker", "sync_directory"),
        ("sync_files", "sync_data"),  # day files, before a snapshot counts
        ("sync_files", "sync_directory"),
        ("write", "sync_data"),  # snapshots
        ("write", "sync_directory"),
        ("work", "sync_data"),  # files of a snapshot that is being received
        ("write_synced", "sync_data"),
        ("write_synced", "sync_directory"),
    ],
    ids="-".join,
)
def test_a_sync_that_a_node_leaves_out_is_noticed(
    day: LiveCluster, left_out: tuple[str, str], tmp_path: Path
) -> None:
    calls = [call for node in day.nodes.values() for call in node.disk.calls]
    assert left_out in {(call.caller, call.name) for call in calls}, (
        f"nobody makes that call: {left_out}"
    )
    for node_id, node in day.nodes.items():
        promises = NodePromises(node, node_id)
        try:
            check_every_moment(
                node.disk, node.folder, tmp_path / "work", promises.take, promises.check, left_out
            )
        except Broken:
            return
    pytest.fail(f"nobody notices that {left_out} is missing")
