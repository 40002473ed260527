"""What a hostile reading of the snapshot code found: each test failed because of a real defect.

Those marked as open still do; the mark goes with the defect."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from pathlib import Path
from random import Random
from typing import Any

import pytest
from snapshot_lab import NODE, SNAPSHOTS, ManualRuntime, MemoryDisk, Story, header_of

from cluster import guard
from cluster.client_port import ClientPort
from cluster.codec import FrameKind, decode_node_frame, frame, unpack
from cluster.disk import RealDisk
from cluster.event_store import EventStore
from cluster.interface import AppliedBatch
from cluster.journal import Journal
from cluster.replica import ClientRecord, StateMark
from cluster.segment import JournalError
from cluster.settings import Address
from cluster.snapshot import SnapshotStore
from cluster.snapshot_keeper import ReplicaDiverged, SnapshotKeeper
from cluster.snapshot_maker import SnapshotMade, make_snapshot
from cluster.snapshot_receiver import SnapshotReceiver
from cluster.snapshot_transfer import SnapshotSender
from cluster.storage import NodeFolders, NodeStorage
from cluster.verify import verify
from exchange.simulation.disk import PowerLoss
from exchange.simulation.member_settings import MemberOptions
from exchange.simulation.options import calm_options
from exchange.simulation.run import Run, as_it_was

FOLDERS = NodeFolders(NODE, {})
EVENT = (1, "CLIENT1", "o1", 0)


class FakeTransport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    abort = close


class FakeHost:
    """A leader that is ready and knows one client."""

    node_id, term, leader_id = 1, 1, 1
    is_ready = can_take_more = True

    def client_record(self, client_id: str) -> ClientRecord | None:
        return ClientRecord(7, 0)

    def client_joined(self, client_id: str) -> None:
        pass

    client_left = client_joined


def batch(index: int) -> AppliedBatch:
    return AppliedBatch(index, 1, index, index, [EVENT])


def store_with_a_hole(disk: MemoryDisk) -> EventStore:
    """Events 1 to 9 are gone: the folder was lost, or there were more of them than max_bytes."""
    store = EventStore(FOLDERS.events, resume_at=10, disk=disk)
    for index in range(10, 20):
        store.append(batch(index))
    return store


def said_hello(store: EventStore) -> FakeTransport:
    """What a client is told that asks for all events from the first on."""
    port = ClientPort(
        FakeHost(),  # type: ignore[arg-type]
        store,
        lambda sink, request: None,
        Address("nowhere", 0),
        ManualRuntime(),  # type: ignore[arg-type]
    )
    connection = port.connection()
    transport = FakeTransport()
    connection.connection_made(transport)
    hello = (FrameKind.HELLO, 1, "tool-1", 7, 0, None, 1)
    connection.data_received(frame(hello))
    return transport


def test_a_client_that_asks_for_events_that_are_gone_is_refused_and_does_not_stop_the_node():
    """What data_received raises reaches the loop's exception handler, which stops the node: any
    gateway that starts anew would stop one leader after the other."""
    written = said_hello(store_with_a_hole(MemoryDisk())).written
    assert FrameKind.REFUSED in [decode_node_frame(data[4:])[0] for data in written]


# --- a snapshot that is received ------------------------------------------------------------------


class Wire:
    """Messages that wait to be delivered."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def send(self, peer_id: int, message: dict[str, Any]) -> None:
        self.messages.append(message)

    def take(self) -> list[dict[str, Any]]:
        messages, self.messages = self.messages, []
        return messages


class Leader:
    """A disk with one snapshot and two day files, and its sender."""

    def __init__(
        self, story: Story, index: int, sizes: tuple[int, ...] = (700, 500), letter: str = "A"
    ) -> None:
        self.disk = MemoryDisk()
        self.wire = Wire()
        self.day_files: list[tuple[str, int]] = []
        for number, size in enumerate(sizes):
            name = f"events-{number:020d}.evt"
            self.disk.put(FOLDERS.events / name, bytes([ord(letter) + number]) * size)
            self.day_files.append((name, size))
        self.snapshots = SnapshotStore(self.disk, SNAPSHOTS)
        self.take(story, index)
        self.sender = SnapshotSender(
            self.disk,
            self.snapshots,
            lambda: {"events": (FOLDERS.events, list(self.day_files))},
            self.wire.send,
            chunk_bytes=256,
        )

    def take(self, story: Story, index: int) -> None:
        command, _, term = story.entries[index]
        header = header_of(index, term=term, last_event=story.next_event_seqs[index] - 1)
        parts = [unpack(part) for part in story.live[index]]
        self.snapshots.write(header._replace(entry=command), parts)


class Follower:
    """A receiver on a disk."""

    def __init__(self, disk: MemoryDisk) -> None:
        self.wire = Wire()
        self.runtime = ManualRuntime()
        self.complete: list[int] = []
        self.receiver = SnapshotReceiver(
            disk,
            FOLDERS.incoming,
            frozenset(FOLDERS.day),
            self.wire.send,
            self.runtime.background,
            self.complete.append,
        )

    def step(
        self, leader: Leader, now_s: float, peer_id: int = 1, *, chunks: int | None = None
    ) -> None:
        """One heartbeat: an offer, and all that follows from it; the connection breaks after so
        many pieces."""
        leader.sender.offer(2, 1)
        while leader.wire.messages or self.wire.messages or self.runtime.jobs:
            for message in leader.wire.take():
                if message["type"] == "snapshot_chunk" and chunks is not None:
                    chunks -= 1
                    if chunks < 0:
                        return
                self.take(message, now_s, peer_id)
            for message in self.wire.take():
                if message["type"] == "snapshot_damaged":
                    leader.snapshots.is_good(message["index"])  # as its keeper does
                else:
                    leader.sender.requested(2, message, now_s)
            while self.runtime.jobs:
                self.runtime.run_job()

    def take(self, message: dict[str, Any], now_s: float, peer_id: int) -> None:
        """One message of a leader."""
        if message["type"] == "snapshot_offer":
            self.receiver.offered(peer_id, message, now_s)
        elif message["type"] == "snapshot_files":
            self.receiver.listed(peer_id, message, now_s)
        else:
            self.receiver.received(peer_id, message, now_s)

    def fetch(self, leader: Leader, heartbeats: int = 40) -> None:
        for beat in range(heartbeats):
            if self.complete:
                return
            self.step(leader, float(beat))


@pytest.fixture(scope="module")
def story() -> Story:
    return Story(1, 60)


def disk_with_a_journal(story: Story, last: int) -> MemoryDisk:
    disk = MemoryDisk()
    storage = NodeStorage(disk, FOLDERS, segment_bytes=1 << 16)
    story.write(storage.journal, 1, last)
    storage.close()
    return disk


def test_an_install_that_is_killed_and_then_loses_power_is_still_whole(story: Story):
    """(1) The process is killed between the rename of the snapshot and the sync of its folder;
    (2) it starts again, finds the snapshot in its place, removes what had arrived and begins the
    journal anew; (3) the power goes: the name of the snapshot was never synced, the journal was."""
    leader = Leader(story, 50, sizes=())
    failures = []
    for calls in range(40):
        for seed in range(6):
            disk = disk_with_a_journal(story, 20)
            disk.random = Random(seed)
            follower = Follower(disk)
            follower.fetch(leader)
            assert follower.complete == [50]
            disk.fail_in, disk.failure = calls, PowerLoss()
            with contextlib.suppress(PowerLoss):
                NodeStorage(disk, FOLDERS, segment_bytes=1 << 16)
            disk.fail_in, disk.locked = None, False  # killed, not cut off
            NodeStorage(disk, FOLDERS, segment_bytes=1 << 16)
            disk.lose_power()
            try:
                storage = NodeStorage(disk, FOLDERS, segment_bytes=1 << 16)
                assert storage.base_index == 50
            except Exception as error:
                failures.append((calls, seed, repr(error)))
    assert not failures, (len(failures), failures[:3])


def test_power_loss_while_a_source_replaces_another_never_leaves_what_cannot_be_completed(
    story: Story,
):
    """Files of an older source that come back with the note of the new one are taken for its."""
    failures = []
    for calls in range(24):
        for seed in range(20):
            disk = MemoryDisk(seed)
            old = Leader(story, 30, sizes=(700, 500, 400, 300))
            follower = Follower(disk)
            follower.step(old, 0.0, chunks=7)  # the first file and most of the second
            follower.receiver.close()
            new = Leader(story, 50, sizes=(700, 500, 400, 300), letter="a")
            disk.fail_in, disk.failure = calls, PowerLoss()
            with contextlib.suppress(PowerLoss):
                Follower(disk).step(new, 0.0, chunks=4)
            disk.lose_power()
            try:
                again = Follower(disk)
                again.fetch(new)
                assert again.complete == [50], "never complete"
                for name, _ in new.day_files:
                    arrived = disk.read(FOLDERS.incoming / f"events@{name}")
                    assert arrived == new.disk.read(FOLDERS.events / name), "mixed"
            except Exception as error:
                failures.append((calls, seed, repr(error)))
    assert not failures, (len(failures), failures[:3])


# --- damaged snapshots ----------------------------------------------------------------------------


def spoil(disk: MemoryDisk, path: Path, at: int) -> None:
    content = bytearray(disk.read(path))
    content[at] ^= 1
    disk.set_content(path.as_posix(), bytes(content))


@pytest.mark.parametrize("at", [30, -40])
def test_a_leader_whose_newest_snapshot_is_damaged_sends_the_one_before_it(story: Story, at: int):
    """In its header: the exception comes out of a tick and stops the leader, whenever it leads. In
    its body: the follower fetches all files again and again (A3 is kept, but nothing ever ends)."""
    leader = Leader(story, 40)
    leader.take(story, 50)
    spoil(leader.disk, leader.snapshots.path(50), at)
    follower = Follower(MemoryDisk())
    follower.fetch(leader, 60)
    assert follower.complete == [40]


def test_a_damaged_snapshot_does_not_count_as_one_of_the_two_that_are_kept(story: Story):
    """40 is good, 50 damaged: the node starts on 40. Then 60 is made: 40 goes, and the journal is
    trimmed to 50. If now 60 is lost, nothing is left, though two snapshots are kept in case."""
    leader = Leader(story, 40)
    leader.take(story, 50)
    spoil(leader.disk, leader.snapshots.path(50), -40)
    assert leader.snapshots.newest().header.log_index == 40
    leader.take(story, 60)
    spoil(leader.disk, leader.snapshots.path(60), -40)
    assert leader.snapshots.newest().header.log_index == 40


# --- the maker ------------------------------------------------------------------------------------


class RotatingDisk(MemoryDisk):
    """The node removes its oldest day file while the maker looks at the folder."""

    def list_directory(self, path: Path) -> list[str]:
        names = super().list_directory(path)
        if path == FOLDERS.events and names:
            self.remove(path / names[0])
        return names


def test_a_day_file_that_goes_while_the_maker_syncs_does_not_spoil_the_snapshot(story: Story):
    disk = RotatingDisk()
    storage = NodeStorage(disk, FOLDERS, segment_bytes=1 << 16)
    story.write(storage.journal, 1, 20)
    for number in (1, 2):
        disk.put(FOLDERS.events / f"events-{number:020d}.evt", b"x")
    made = make_snapshot(disk, FOLDERS.wal, FOLDERS.snapshots, 20, {}, [FOLDERS.events])
    assert made.index == 20


def test_a_snapshot_that_does_not_fit_on_the_disk_gives_the_space_back(story: Story):
    """Else the journal is the next that finds the disk full, and that stops the node."""
    disk = MemoryDisk()
    storage = NodeStorage(disk, FOLDERS, segment_bytes=1 << 16)
    story.write(storage.journal, 1, 20)
    create = disk.create

    def full(path: Path) -> Any:
        file = create(path)
        if path.parent == SNAPSHOTS:

            def sync_data() -> None:
                raise OSError(28, "No space left on device")

            file.sync_data = sync_data
        return file

    disk.create = full  # type: ignore[method-assign]
    with pytest.raises(OSError, match="No space"):
        make_snapshot(disk, FOLDERS.wal, FOLDERS.snapshots, 20, {}, [])
    assert disk.list_directory(SNAPSHOTS) == []


# --- the keeper -----------------------------------------------------------------------------------


def keeper_of(storage: NodeStorage, runtime: ManualRuntime, fatal: list[BaseException]) -> Any:
    def make(index: int) -> SnapshotMade:
        return make_snapshot(
            storage.disk, FOLDERS.wal, FOLDERS.snapshots, index, {}, [FOLDERS.events]
        )

    return SnapshotKeeper(
        storage,
        storage.replica,
        runtime,  # type: ignore[arg-type]
        make,
        after_bytes=100,
        position=lambda: storage.journal.last_index,
        flush_day_files=lambda: None,
        is_fetched=lambda: False,
        on_fatal=fatal.append,
    )


def test_a_node_that_was_closed_takes_no_snapshots(story: Story):
    """The process goes on: a node that received a snapshot is made anew in it. The timer of the
    life before keeps all of its state in memory, and starts makers for it, for ever."""
    disk, runtime, fatal = MemoryDisk(), ManualRuntime(), []
    storage = NodeStorage(disk, FOLDERS, segment_bytes=1 << 16)
    story.write(storage.journal, 1, 20)
    keeper = keeper_of(storage, runtime, fatal)
    keeper.start()
    keeper.close()
    storage.close()
    runtime.advance(120.0)
    assert not runtime.jobs
    assert not fatal


def test_a_snapshot_that_is_made_while_its_node_closes_changes_nothing(story: Story):
    """_made comes after the journal was closed: it raises on the loop, whose exception handler is
    the one of the next life by then, and stops that."""
    disk, runtime, fatal = MemoryDisk(), ManualRuntime(), []
    storage = NodeStorage(disk, FOLDERS, segment_bytes=1 << 16)
    story.write(storage.journal, 1, 10)
    keeper = keeper_of(storage, runtime, fatal)
    keeper.take()
    runtime.run_job()
    story.write(storage.journal, 11, 20)
    keeper.take()
    work, done = runtime.jobs.pop()
    made = work()
    keeper.close()
    storage.close()
    done(made, None)
    assert not fatal


# --- offers that change ---------------------------------------------------------------------------


def test_the_same_offer_of_another_leader_is_not_mixed_with_the_first(story: Story):
    """Snapshots are equal on all nodes, and day files may well be of equal name and length, but
    where their blocks begin depends on when a node wrote them: half a file of each is no file."""
    first = Leader(story, 50, sizes=(700, 700))
    second = Leader(story, 50, sizes=(700, 700), letter="a")
    for chunks in range(1, 20):
        disk = MemoryDisk()
        follower = Follower(disk)
        follower.step(first, 0.0, chunks=chunks)  # then it dies
        for beat in range(1, 20):
            if not follower.complete:
                follower.step(second, float(beat), peer_id=3)
        assert follower.complete == [50]
        arrived = [disk.read(FOLDERS.incoming / f"events@{name}") for name, _ in first.day_files]
        assert arrived in ([b"A" * 700, b"B" * 700], [b"a" * 700, b"b" * 700])


def test_day_files_that_are_here_are_not_fetched_again_when_the_snapshot_is_replaced(story: Story):
    """16 GiB of day files take minutes; in that time two snapshots may well be made, and the one
    that was offered goes. If everything then begins again it may never end."""
    leader = Leader(story, 30, sizes=(2_000, 2_000, 2_000))
    disk = MemoryDisk()
    follower = Follower(disk)
    follower.step(leader, 0.0, chunks=20)  # two of the files, and more
    before = follower.receiver.bytes_received
    assert before > 4_000
    leader.take(story, 40)
    leader.take(story, 50)  # 30 is gone
    follower.fetch(leader, 60)
    assert follower.complete == [50]
    fetched = follower.receiver.bytes_received - before
    assert fetched <= leader.disk.file_size(leader.snapshots.path(50)) + 2_000


# --- in the simulation ----------------------------------------------------------------------------


def test_a_leader_keeps_leading_while_its_only_peer_fetches():
    """Two of three are up; one of them is far behind. It answers nothing but snapshot requests, and
    pysyncobj steps down when it hears no next_node_idx: five elections a second, and the transfer
    takes four times as long."""
    nodes = MemberOptions(snapshot_after_bytes=2_000, snapshot_chunk_bytes=512)
    with as_it_was():
        run = Run(7, dataclasses.replace(calm_options(), nodes=nodes))
        world = run.world
        world.run_until(2.0)
        leader = next(member for member in run.members if member.core and member.core.is_ready)
        away, gone = [member for member in run.members if member is not leader]
        away.crash(power_loss=False)
        last_index = away.journal.last_index
        while leader.journal.first_index <= last_index:
            world.run_until(world.now_s + 0.05)
        gone.crash(power_loss=False)
        for gateway in run.gateways:
            gateway.trading = False
        world.run_until(world.now_s + 0.5)
        term = leader.core.term
        away.start()
        while away.core is None or away.journal.first_index <= last_index:
            world.run_until(world.now_s + 0.05)
            assert world.now_s < 60.0
        assert leader.core.term - term <= 3


# --- what stops a node although nothing is wrong with it ------------------------------------------


def test_a_mark_that_was_set_anew_meanwhile_is_no_divergence(story: Story):
    """A tool names its marks; a name that is used twice stands for the later place. The snapshot
    knows the earlier one: every node that takes a snapshot at that moment would stop."""
    disk, runtime, fatal = MemoryDisk(), ManualRuntime(), []
    storage = NodeStorage(disk, FOLDERS, segment_bytes=1 << 16)
    story.write(storage.journal, 1, 20)
    keeper = keeper_of(storage, runtime, fatal)
    made = SnapshotMade(10, 100, 9, "hash of entry 10", 0.1, [("m", 9, 10, "hash of entry 10")], [])
    storage.replica.marks["m"] = StateMark(19, 20, "hash of entry 20")
    keeper._made(made, None)
    assert not fatal
    storage.replica.marks["m"] = StateMark(9, 10, "another hash of entry 10")
    keeper._made(made, None)
    assert isinstance(fatal[0], ReplicaDiverged)


def test_a_client_that_reads_a_damaged_event_file_does_not_stop_the_node():
    """One flipped bit, and whoever asks for the events of the morning stops the leader."""
    disk = MemoryDisk()
    store = EventStore(FOLDERS.events, disk=disk, recent_records=1, recent_events=1)
    for index in range(1, 20):
        store.append(batch(index))
        store.flush()
    [(name, _)] = store.files()
    spoil(disk, FOLDERS.events / name, 150)
    transport = said_hello(store)
    assert transport.closed


def test_verify_finds_a_journal_that_no_snapshot_reaches(story: Story, tmp_path: Path):
    """A9: the node refuses to start on such a folder; verify must not call it sound."""
    folders = NodeFolders(tmp_path, {})
    storage = NodeStorage(RealDisk(), folders, segment_bytes=1 << 16)
    story.write(storage.journal, 1, 30)
    storage.journal.trim(20)
    storage.close()
    with pytest.raises(JournalError):
        NodeStorage(RealDisk(), folders, segment_bytes=1 << 16)
    assert not verify([tmp_path]).ok


# --- the rules, between a leader that has trimmed its log and a follower -------------------------


def journal_of(first: int, terms: list[int]) -> Journal:
    journal = Journal(FOLDERS.wal, disk=MemoryDisk())
    for index, term in enumerate(terms, start=first):
        journal.add(b"\0", index, term)
    return journal


@pytest.mark.parametrize("last_index", [10, 14])
@pytest.mark.parametrize("commit_index", range(1, 10))
def test_a_follower_that_diverges_above_the_offered_snapshot_gets_what_it_needs(
    commit_index: int, last_index: int
):
    """Both hold entries up to 9 of term 2. The follower, which lags behind with applying, has 10 of
    term 2 from a leader that died; the new one has 10 of term 3, and begins with entry 6, after
    which its snapshot is. (1) Entry 10 is refused with the first uncommitted index of term 2;
    (2) the leader does not have it any more and offers the snapshot; (3) the follower has that
    entry and answers with the end of its log; (4) entry 10 is refused: for ever."""
    follower = journal_of(1, [2] * last_index)
    leader = journal_of(6, [2] * 4 + [3] * 2)
    next_index = leader.last_index + 1
    asked = []
    for _ in range(6):
        asked.append(next_index)
        reply: dict[str, Any] | None
        if next_index <= leader.first_index:
            offer = guard.check_snapshot_offer(
                {"term": 3, "index": 6, "snapshot_term": 2},
                follower,
                current_term=3,
                commit_index=commit_index,
                is_leader=False,
            )
            assert not offer.wanted, "nothing is missing"
            reply = offer.reply
        else:
            assert next_index <= leader.last_index + 1, "entries that the leader does not have"
            delivery = guard.check_append_entries(
                {
                    "type": "append_entries",
                    "term": 3,
                    "commit_index": 9,
                    "prevLogIdx": next_index - 1,
                    "prevLogTerm": leader.term_at(next_index - 1),
                    "entries": [leader.entry(i) for i in range(next_index, leader.last_index + 1)],
                },
                follower,
                current_term=3,
                commit_index=commit_index,
                applied_index=commit_index,
                is_leader=False,
            )
            reply = delivery.reply
            if reply is None:
                return
        assert reply is not None
        next_index = reply["next_node_idx"]
    pytest.fail(f"the leader was sent to {asked} and never gets anywhere")


# --- what came with the answers to the above ------------------------------------------------------


def test_a_maker_that_fails_is_not_started_again_with_every_heartbeat(story: Story):
    """A follower needs a snapshot, there is none, and none can be made (the only one was damaged):
    each maker reads all of the journal."""
    disk, runtime, fatal = MemoryDisk(), ManualRuntime(), []
    storage = NodeStorage(disk, FOLDERS, segment_bytes=1 << 16)
    story.write(storage.journal, 1, 20)
    keeper = keeper_of(storage, runtime, fatal)
    keeper._make = lambda index: make_snapshot(disk, NODE / "nowhere", SNAPSHOTS, index, {}, [])
    for _ in range(100):
        keeper.take_at_once()
        while runtime.jobs:
            runtime.run_job()
        runtime.advance(0.01)
    assert keeper.failed == 1


def test_a_transfer_under_way_is_not_idle(story: Story):
    """Between two files it was asked for the next piece a moment ago."""
    leader = Leader(story, 50, sizes=(700, 700))
    follower = Follower(MemoryDisk())
    now_s = 100.0
    follower.step(leader, now_s, chunks=3)  # the first file is whole, the second was asked for
    follower.receiver.abandon_if_idle(now_s)
    while follower.runtime.jobs:
        follower.runtime.run_job()
    before = follower.receiver.bytes_received
    for beat in range(10):
        follower.step(leader, now_s + beat)
    assert follower.complete == [50]
    rest = leader.disk.file_size(leader.snapshots.path(50)) + 700
    assert follower.receiver.bytes_received - before <= rest
